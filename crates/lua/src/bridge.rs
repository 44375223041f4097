//! How functions of an interpreter, which live as long as it does, reach the host of the running
//! script, which is borrowed only for the run.
//!
//! A run puts a function into the bridge that owns the borrow and dies with the run (`mlua`'s
//! scopes). A Rust function called by the script leaves a question in the bridge, calls that
//! function, and finds the answer there. So no unsafe code is needed, and a function of a library
//! that kept `redis.call` from an earlier run reaches the host of its own run.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mlua::{Function, Lua};
use parking_lot::Mutex;

use crate::raise::Raise;
use crate::random::Random;
use crate::{Host, Level, Resp, Stop, UnknownCommand};

/// A question to the host.
pub(crate) enum Ask {
    Call(Vec<Bytes>, Resp),
    Log(Level, Vec<u8>),
    AclCheck(Vec<Bytes>),
    MayGoOn,
}

/// The host's answer.
pub(crate) enum Answer {
    Reply(Bytes),
    Logged,
    Acl(Result<bool, UnknownCommand>),
    GoOn(Result<(), Stop>),
}

/// A library that is being loaded.
#[derive(Default)]
pub(crate) struct Loading {
    /// The registered functions: name, callback, description, flags.
    pub(crate) functions: Vec<(crate::Function, Function)>,
    /// The moment when loading has taken too long.
    pub(crate) deadline: Option<Instant>,
}

#[derive(Default)]
struct State {
    host: Option<Function>,
    ask: Option<Ask>,
    answer: Option<Answer>,
    /// The protocol that the running script reads replies in.
    resp: Resp,
    /// Set once the running script has been stopped.
    stop: Option<Stop>,
    loading: Option<Loading>,
}

/// What an interpreter's functions share. Only one thread uses it at a time: the lock is free.
#[derive(Clone)]
pub(crate) struct Bridge {
    state: Arc<Mutex<State>>,
    random: Arc<Mutex<Random>>,
    /// The most bytes that Rust functions may build for a script: the interpreter's memory.
    pub(crate) memory: usize,
}

impl Bridge {
    /// A bridge without a running script.
    pub(crate) fn new(random: Arc<Mutex<Random>>, memory: usize) -> Self {
        let state = Arc::default();
        Self {
            state,
            random,
            memory,
        }
    }

    /// Runs `body` while scripts reach `host`.
    pub(crate) fn with_host<R>(
        &self,
        lua: &Lua,
        host: &mut dyn Host,
        body: impl FnOnce() -> mlua::Result<R>,
    ) -> mlua::Result<R> {
        let result = lua.scope(|scope| {
            let bridge = self.clone();
            let ferry = scope.create_function_mut(move |_, ()| {
                let ask = bridge.state.lock().ask.take();
                let answer = ask.map(|ask| answer(host, ask));
                bridge.state.lock().answer = answer;
                Ok(())
            })?;
            let mut state = self.state.lock();
            (state.host, state.stop, state.resp) = (Some(ferry), None, Resp::V2);
            drop(state);
            body()
        });
        let mut state = self.state.lock();
        (state.host, state.ask, state.answer) = (None, None, None);
        result
    }

    /// Runs `body` while a library is being loaded, and returns the functions it registered.
    pub(crate) fn while_loading<R>(
        &self,
        deadline: Instant,
        body: impl FnOnce() -> R,
    ) -> (R, Loading) {
        let deadline = Some(deadline);
        let functions = Vec::new();
        let mut state = self.state.lock();
        (state.loading, state.stop) = (
            Some(Loading {
                functions,
                deadline,
            }),
            None,
        );
        drop(state);
        let result = body();
        let loading = self.state.lock().loading.take().unwrap_or_default();
        (result, loading)
    }

    /// Changes the library that is being loaded; `None` when none is.
    pub(crate) fn loading<R>(&self, change: impl FnOnce(&mut Loading) -> R) -> Option<R> {
        self.state.lock().loading.as_mut().map(change)
    }

    /// Whether a script or a function runs.
    pub(crate) fn runs(&self) -> bool {
        self.state.lock().host.is_some()
    }

    /// The host's answer; `None` when no script runs.
    pub(crate) fn ask(&self, ask: Ask) -> mlua::Result<Option<Answer>> {
        let mut state = self.state.lock();
        let Some(host) = state.host.take() else {
            return Ok(None);
        };
        state.ask = Some(ask);
        drop(state);
        let called = host.call::<()>(());
        let mut state = self.state.lock();
        state.host = Some(host);
        called?;
        Ok(state.answer.take())
    }

    /// Raises an error that the script cannot catch when it has to end now.
    pub(crate) fn may_go_on(&self) -> mlua::Result<()> {
        let state = self.state.lock();
        let late = state.loading.as_ref().and_then(|loading| loading.deadline);
        let late = late.is_some_and(|deadline| Instant::now() > deadline);
        let mut stop = state.stop.clone();
        drop(state);
        if late {
            stop = Some(Stop::Error("ERR FUNCTION LOAD timeout".to_owned()));
        }
        if stop.is_none() {
            let Some(Answer::GoOn(Err(told))) = self.ask(Ask::MayGoOn)? else {
                return Ok(());
            };
            stop = Some(told);
        }
        self.state.lock().stop.clone_from(&stop);
        stop.map_or(Ok(()), |stop| Err(Raise::Stop(stop).into()))
    }

    /// The reason for which the running script was stopped.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.state.lock().stop.clone()
    }

    /// The protocol that the running script chose.
    pub(crate) fn resp(&self) -> Resp {
        self.state.lock().resp
    }

    /// Chooses the protocol (`redis.setresp`).
    pub(crate) fn set_resp(&self, resp: Resp) {
        self.state.lock().resp = resp;
    }

    /// The generator of random numbers, the same for scripts and functions.
    pub(crate) fn random<R>(&self, draw: impl FnOnce(&mut Random) -> R) -> R {
        draw(&mut self.random.lock())
    }
}

fn answer(host: &mut dyn Host, ask: Ask) -> Answer {
    match ask {
        Ask::Call(args, resp) => Answer::Reply(host.call(args, resp)),
        Ask::Log(level, text) => {
            host.log(level, &text);
            Answer::Logged
        }
        Ask::AclCheck(args) => Answer::Acl(host.acl_check(&args)),
        Ask::MayGoOn => Answer::GoOn(host.may_go_on()),
    }
}
