//! The conformance suite of logs: what every implementation must do. A test binary gives it a [`World`] and lists nothing
//! itself: [`log_conformance!`] makes a test of every scenario.

// Each test binary compiles the suite for itself and uses what it needs; a failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod appending;
pub mod epochs;
pub mod keys;
pub mod reading;
pub mod retention;
pub mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdial_cluster::log::{Log, LogConfig};

/// How long logs under test remember: short, as some of them keep real time.
pub fn config() -> LogConfig {
    LogConfig {
        key_age: Duration::from_secs(2),
        key_messages: 20,
        position_age: Duration::from_millis(1_500),
    }
}

/// A log to test, with the hands of those who break it.
#[async_trait]
pub trait World: Send + Sync {
    /// A handle as a process of its own would have, with [`config`].
    fn log(&self) -> Arc<dyn Log>;
    /// Everything is forgotten.
    async fn flush(&self);
    /// Remembers what is stored.
    async fn copy(&self);
    /// Puts back what was remembered, instead of what is stored.
    async fn restore(&self);
    /// From now on operations are carried out without an answer, or answered again.
    async fn set_answers_lost(&self, lost: bool);
}

/// Makes a test of every scenario: `run` takes an async function of a `&dyn World` and runs it to its end.
#[macro_export]
macro_rules! log_conformance {
    ($run:path) => {
        $crate::log_conformance!(@tests $run, appending:
            a_topic_begins_at_its_first_opening
            offsets_are_contiguous_under_concurrent_homes
            an_older_home_is_refused
            versions_are_compared_to_the_last_digit
            a_call_serves_many_topics_in_order
            calls_have_limits
            services_and_slots_are_apart
        );
        $crate::log_conformance!(@tests $run, keys:
            a_repeated_key_gives_the_same_offset
            the_scope_of_a_key_is_topic_and_sender
            a_key_with_other_data_is_refused
            keys_outlive_trimmed_entries
            keys_of_the_newest_messages_are_remembered
            keys_are_forgotten_with_time
            a_lost_answer_is_made_up_by_the_key
        );
        $crate::log_conformance!(@tests $run, retention:
            the_oldest_leave_by_count
            the_aged_leave_with_the_next_append
            a_silent_topic_keeps_its_position
            a_touch_keeps_the_position
        );
        $crate::log_conformance!(@tests $run, epochs:
            a_flush_begins_an_epoch
            a_roll_back_begins_an_epoch
            an_append_notices_a_roll_back_too
            a_younger_generation_begins_an_epoch
            a_stale_home_begins_nothing
        );
        $crate::log_conformance!(@tests $run, reading:
            entries_come_back_as_they_were
            pages_go_both_ways
            pages_have_limits
            what_is_missing_is_told
            nothing_is_read_of_another_epoch
        );
    };
    (@tests $run:path, $group:ident: $($name:ident)*) => {
        mod $group {
            $(
                #[test]
                fn $name() {
                    $run(|world| Box::pin($crate::log::$group::$name(world)));
                }
            )*
        }
    };
}
