//! What operators ask of the responder, in the words of who serves them.

use tokio::sync::{mpsc, oneshot};

use super::{Order, Status};
use crate::respond::{Outcome, Request, audit::AskedBy};

/// A way to the responder for operators.
pub struct Orders<T>(mpsc::WeakSender<Order<T>>);

impl<T> Clone for Orders<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Orders<T> {
    pub(super) const fn new(orders: mpsc::WeakSender<Order<T>>) -> Self {
        Self(orders)
    }

    async fn ask<A>(&self, order: impl FnOnce(oneshot::Sender<A>) -> Order<T>) -> Option<A> {
        let (to, answer) = oneshot::channel();
        self.0.upgrade()?.send(order(to)).await.ok()?;
        answer.await.ok()
    }

    /// Has something done to a container; `None` where the responder has ended.
    pub async fn operate(&self, request: Request) -> Option<Outcome> {
        self.ask(|to| Order::Operator(Box::new(request), to)).await
    }

    /// Closes every fuse.
    pub async fn reset(&self, by: AskedBy) -> Option<()> {
        self.ask(|to| Order::Reset(by, to)).await
    }

    /// Records an order that somebody else carries out.
    pub async fn note(&self, order: &'static str, by: AskedBy) {
        if let Some(orders) = self.0.upgrade() {
            let _ = orders.send(Order::Note(order, by)).await;
        }
    }

    /// How things stand.
    pub async fn status(&self) -> Option<Status> {
        self.ask(Order::Status).await
    }
}
