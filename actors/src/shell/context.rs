//! The context of an actor that rests most of its life.
//!
//! actix's own context keeps room for futures in every actor, whether it has any or not: a quarter of
//! a kilobyte that a city's drivers, who are nearly all at rest, never use. This one makes room when a
//! future comes. Messages, addresses and mailboxes are actix's.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix::WeakAddr;
use actix::dev::{Envelope, Mailbox, OneshotSender, ToEnvelope, channel};
use actix::prelude::*;

type Work<A> = Pin<Box<dyn ActorFuture<A, Output = ()>>>;

/// What an actor's handlers reach their actor's life through.
pub(crate) struct RestingContext<A: Actor> {
    own: WeakAddr<A>,
    state: ActorState,
    /// While there are any.
    futures: Option<Box<Futures<A>>>,
}

struct Futures<A: Actor> {
    /// Until the newest of them is done the actor hears no message.
    waits: Vec<Work<A>>,
    spawned: Vec<(SpawnHandle, Work<A>)>,
    newest: SpawnHandle,
}

/// An actor that lives, as a task.
struct Life<A: Actor<Context = RestingContext<A>>> {
    actor: A,
    context: RestingContext<A>,
    mailbox: Mailbox<A>,
}

/// Starts an actor on an Arbiter; its mailbox holds so many messages before callers are told that it
/// is full.
pub(super) fn start<A>(
    arbiter: &ArbiterHandle,
    mailbox_capacity: usize,
    make: impl FnOnce() -> A + Send + 'static,
) -> Addr<A>
where
    A: Actor<Context = RestingContext<A>> + Unpin,
{
    let (sender, receiver) = channel::channel(mailbox_capacity);
    let addr = Addr::new(sender);
    let own = addr.downgrade();
    arbiter.spawn_fn(move || {
        let context = RestingContext { own, state: ActorState::Started, futures: None };
        actix::spawn(Life { actor: make(), context, mailbox: Mailbox::new(receiver) });
    });
    addr
}

impl<A: Actor> RestingContext<A> {
    /// The actor, as one who only wants to wake it knows it.
    pub(super) fn weak(&self) -> WeakAddr<A> {
        self.own.clone()
    }

    fn futures(&mut self) -> &mut Futures<A> {
        self.futures.get_or_insert_with(|| {
            let newest = SpawnHandle::default();
            Box::new(Futures { waits: Vec::new(), spawned: Vec::new(), newest })
        })
    }

    fn is_ending(&self) -> bool {
        matches!(self.state, ActorState::Stopping | ActorState::Stopped)
    }

    /// The wait to go on with, and how many there are behind it.
    fn next_wait(&mut self) -> Option<(Work<A>, usize)> {
        let waits = &mut self.futures.as_mut()?.waits;
        let wait = waits.pop()?;
        Some((wait, waits.len()))
    }
}

impl<A: Actor<Context = Self>> ActorContext for RestingContext<A> {
    fn stop(&mut self) {
        if !self.is_ending() {
            self.state = ActorState::Stopping;
        }
    }

    fn terminate(&mut self) {
        self.state = ActorState::Stopped;
    }

    fn state(&self) -> ActorState {
        self.state
    }
}

impl<A: Actor<Context = Self>> AsyncContext<A> for RestingContext<A> {
    fn address(&self) -> Addr<A> {
        self.own.upgrade().expect("a mailbox is open for as long as its actor lives")
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        let futures = self.futures();
        futures.newest = futures.newest.next();
        futures.spawned.push((futures.newest, Box::pin(future)));
        futures.newest
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.futures().waits.push(Box::pin(future));
    }

    fn waiting(&self) -> bool {
        self.is_ending() || self.futures.as_ref().is_some_and(|futures| !futures.waits.is_empty())
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        let Some(futures) = &mut self.futures else { return false };
        let before = futures.spawned.len();
        futures.spawned.retain(|(own, _)| *own != handle);
        futures.spawned.len() < before
    }
}

impl<A, M> ToEnvelope<A, M> for RestingContext<A>
where
    A: Actor<Context = Self> + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn pack(message: M, answer: Option<OneshotSender<M::Result>>) -> Envelope<A> {
        Envelope::new(message, answer)
    }
}

impl<A: Actor<Context = RestingContext<A>> + Unpin> Life<A> {
    /// Waits for what the actor waits for; tells whether it is done with that.
    fn has_waited(&mut self, task: &mut Context<'_>) -> bool {
        while !self.context.is_ending() {
            let Some((mut wait, behind)) = self.context.next_wait() else { break };
            if wait.as_mut().poll(&mut self.actor, &mut self.context, task).is_pending() {
                let waits = &mut self.context.futures().waits;
                waits.insert(behind, wait);
                // What it has the actor wait for comes first.
                if waits.len() == behind + 1 {
                    return self.context.is_ending();
                }
            }
        }
        true
    }

    /// Lets what was spawned go on; tells whether the actor waits for something new by that.
    fn work(&mut self, task: &mut Context<'_>) -> bool {
        let Some(futures) = &mut self.context.futures else { return false };
        let mut under_way = std::mem::take(&mut futures.spawned).into_iter();
        let mut pending = Vec::new();
        while !self.context.waiting()
            && let Some((handle, mut future)) = under_way.next()
        {
            let polled = future.as_mut().poll(&mut self.actor, &mut self.context, task);
            if polled.is_pending() {
                pending.push((handle, future));
            }
        }
        pending.extend(under_way);
        let futures = self.context.futures();
        // Those that these spawned have not been heard yet.
        let new = !futures.spawned.is_empty();
        pending.append(&mut futures.spawned);
        futures.spawned = pending;
        new || self.context.waiting()
    }

    /// Ends the actor when it is told to, or when nobody can reach it and nothing is left to do.
    fn is_over(&mut self) -> bool {
        self.context.futures.take_if(|own| own.waits.is_empty() && own.spawned.is_empty());
        if self.context.futures.is_none() && !self.mailbox.connected() {
            self.context.stop();
        }
        if !self.context.is_ending() {
            return false;
        }
        self.context.terminate();
        self.actor.stopped(&mut self.context);
        true
    }
}

impl<A: Actor<Context = RestingContext<A>> + Unpin> Future for Life<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.context.state == ActorState::Started {
            this.context.state = ActorState::Running;
            this.actor.started(&mut this.context);
        }
        loop {
            if !this.has_waited(task) {
                return Poll::Pending;
            }
            this.mailbox.poll(&mut this.actor, &mut this.context, task);
            let again = !this.context.is_ending() && (this.context.waiting() || this.work(task));
            if !again || this.context.is_ending() {
                return if this.is_over() { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Notes what it hears and tells at its end.
    struct Ear {
        heard: Vec<&'static str>,
        ended: Option<oneshot::Sender<()>>,
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Say(&'static str);

    type Gate = oneshot::Receiver<()>;

    #[derive(Message)]
    #[rtype(result = "()")]
    enum Do {
        /// Hears nothing until the first gate opens, and then until the second does.
        Wait(Gate, Gate),
        /// Notes when the gate opens.
        Spawn(Gate),
        Stop,
    }

    #[derive(Message)]
    #[rtype(result = "Vec<&'static str>")]
    struct Read;

    impl Actor for Ear {
        type Context = RestingContext<Self>;

        fn stopped(&mut self, _: &mut Self::Context) {
            self.ended.take().map(|ended| ended.send(()));
        }
    }

    impl Handler<Say> for Ear {
        type Result = ();

        fn handle(&mut self, Say(word): Say, _: &mut Self::Context) {
            self.heard.push(word);
        }
    }

    impl Handler<Read> for Ear {
        type Result = MessageResult<Read>;

        fn handle(&mut self, _: Read, _: &mut Self::Context) -> Self::Result {
            MessageResult(self.heard.clone())
        }
    }

    impl Handler<Do> for Ear {
        type Result = ();

        fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
            match what {
                Do::Wait(first, second) => {
                    ctx.wait(first.into_actor(self).map(|_, ear, ctx| {
                        ear.heard.push("first");
                        ctx.wait(second.into_actor(ear).map(|_, ear, _| ear.heard.push("second")));
                    }));
                }
                Do::Spawn(gate) => {
                    ctx.spawn(gate.into_actor(self).map(|_, ear, _| ear.heard.push("spawned")));
                }
                Do::Stop => ctx.stop(),
            }
        }
    }

    fn with_ear<F: Future<Output = ()>>(test: impl FnOnce(Addr<Ear>, Gate) -> F) {
        actix::System::new().block_on(async {
            let (ended, end) = oneshot::channel();
            let ear = Ear { heard: Vec::new(), ended: Some(ended) };
            test(start(&Arbiter::current(), 16, move || ear), end).await;
        });
    }

    #[test]
    fn who_waits_hears_nothing_until_the_newest_wait_is_over() {
        with_ear(|ear, _| async move {
            let ((first, one), (second, two)) = (oneshot::channel(), oneshot::channel());
            ear.do_send(Do::Wait(one, two));
            ear.do_send(Say("word"));
            let read = ear.send(Read);
            first.send(()).unwrap();
            tokio::task::yield_now().await;
            second.send(()).unwrap();
            assert_eq!(read.await.unwrap(), ["first", "second", "word"]);
        });
    }

    #[test]
    fn what_is_spawned_goes_on_beside_the_messages() {
        with_ear(|ear, _| async move {
            let (open, gate) = oneshot::channel();
            ear.do_send(Do::Spawn(gate));
            ear.do_send(Say("word"));
            assert_eq!(ear.send(Read).await.unwrap(), ["word"]);
            open.send(()).unwrap();
            while ear.send(Read).await.unwrap() != ["word", "spawned"] {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn an_actor_ends_when_it_stops_or_nobody_can_reach_it() {
        with_ear(|ear, end| async move {
            ear.do_send(Do::Stop);
            end.await.unwrap();
            assert!(ear.send(Read).await.is_err());
        });
        with_ear(|ear, end| async move {
            ear.send(Read).await.unwrap();
            drop(ear);
            end.await.unwrap();
        });
    }
}
