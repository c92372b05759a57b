//! The JavaScript engine of a run: one QuickJS with all its npm clients. It knows no time and no chance but what it is told.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::loader::{BuiltinLoader, BuiltinResolver};
use rquickjs::{CatchResultExt, Context, Ctx, Function, Module, Runtime};
use serde::Deserialize;
use serde_json::Value;

use super::Program;

/// What surrounds the client: its name among the client's modules, and its text.
const PLATFORM: (&str, &str) = ("simulation-platform.js", include_str!("platform.js"));

/// Runs the clients.
pub(crate) struct Engine {
    context: Context,
    runtime: Runtime,
    /// Promises that failed and that nobody looks after: how many, and why the last one did.
    unhandled: Rc<RefCell<(i64, String)>>,
}

/// What a client does, or what is to be judged of it. `client` is its number, `socket`, `lookup` and `timer` are the engine's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Act {
    /// It asks a lookup service.
    Ask { client: usize, lookup: u64, url: String },
    /// It opens a socket.
    Open { client: usize, socket: u64, url: String, protocols: Vec<String> },
    /// It says something on one.
    Write { socket: u64, text: String },
    /// It closes one.
    Close { socket: u64 },
    /// It wants to be told when so many milliseconds have passed.
    Timer { timer: u64, ms: u64 },
    /// The application is given a message.
    Message { client: usize, message: Value },
    /// The application is told of a gap.
    Gap { client: usize, gap: Value },
    /// The application is told how the client is.
    Status { client: usize, state: String, code: String },
    /// The application left a group; where it was.
    Left { client: usize, topic: String, at: Option<Value> },
    /// A promise was kept.
    Done { what: String, client: usize, number: usize, value: Value },
    /// It was not.
    Failed { what: String, client: usize, number: usize, code: String },
    /// For the story.
    Told { client: usize, what: String },
    /// Something was thrown that nobody caught.
    Wrong { text: String },
}

impl Engine {
    /// One with this program.
    ///
    /// # Errors
    /// The program does not run.
    pub(crate) fn new(program: &Program) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let (mut resolver, mut loader) = (BuiltinResolver::default(), BuiltinLoader::default());
        for (name, text) in program.modules() {
            resolver.add_module(name.as_str());
            loader.add_module(name.as_str(), text.as_str());
        }
        runtime.set_loader(resolver, loader);
        let unhandled = Rc::new(RefCell::new((0, String::new())));
        let seen = Rc::clone(&unhandled);
        let tracker =
            move |_: Ctx<'_>, _: rquickjs::Value<'_>, reason: rquickjs::Value<'_>, handled: bool| {
                let mut seen = seen.borrow_mut();
                seen.0 += if handled { -1 } else { 1 };
                seen.1 = format!("{reason:?}");
            };
        runtime.set_host_promise_rejection_tracker(Some(Box::new(tracker)));
        let context = Context::full(&runtime).map_err(|error| error.to_string())?;
        let engine = Self { context, runtime, unhandled };
        engine.context.with(|ctx| {
            let evaluated = Module::evaluate(ctx.clone(), PLATFORM.0, PLATFORM.1);
            let promise = evaluated.catch(&ctx).map_err(|error| error.to_string())?;
            promise.finish::<()>().catch(&ctx).map_err(|error| error.to_string())
        })?;
        engine.settle()?;
        Ok(engine)
    }

    /// Tells the clients something at this time of the wall clock, milliseconds, and lets them do what follows from it.
    ///
    /// # Errors
    /// What the engine, or the code in it, says is wrong.
    pub(crate) fn tell(
        &self,
        unix_ms: u64,
        (name, id): (&str, u64),
        text: &str,
        more: &Value,
    ) -> Result<Vec<Act>, String> {
        let more = if more.is_null() { String::new() } else { more.to_string() };
        self.context.with(|ctx| {
            let tell: Function<'_> = ctx.globals().get("tell").map_err(|error| error.to_string())?;
            // Both are far below 2^53.
            let told = tell.call::<_, ()>((unix_ms as f64, name, id as f64, text, more));
            told.catch(&ctx).map_err(|error| error.to_string())
        })?;
        self.settle()?;
        let said: String = self.context.with(|ctx| {
            let acts: Function<'_> = ctx.globals().get("acts").map_err(|error| error.to_string())?;
            acts.call(()).catch(&ctx).map_err(|error| error.to_string())
        })?;
        if said.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))
    }

    /// Runs what waits for nothing but its turn.
    fn settle(&self) -> Result<(), String> {
        loop {
            match self.runtime.execute_pending_job() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        match &*self.unhandled.borrow() {
            (0, _) => Ok(()),
            (_, reason) => Err(format!("a promise failed and nobody looked: {reason}")),
        }
    }
}
