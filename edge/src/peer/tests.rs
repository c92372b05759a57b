//! Links over real sockets. `harness` has whole processes in miniature, `raw` sockets that misbehave.

mod exchange;
mod faults;
mod harness;
mod naming;
mod proof;
mod raw;
mod ring;
mod tls;
