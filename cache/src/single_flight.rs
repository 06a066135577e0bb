//! One question for all who ask it at the same time.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::names::Moment;

/// Questions under way, by what is asked.
#[derive(Debug)]
pub struct SingleFlight<K, V> {
    running: Arc<Mutex<Running<K, V>>>,
}

type Running<K, V> = HashMap<K, Asked<V>>;

#[derive(Debug)]
struct Asked<V> {
    at: Moment,
    answer: watch::Receiver<Option<V>>,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self {
            running: Arc::default(),
        }
    }
}

/// Takes the question off the list when it is answered, or when whoever asked it has panicked.
struct Entry<K: Hash + Eq, V> {
    running: Arc<Mutex<Running<K, V>>>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Debug + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to `key`: of a question under way, if it was asked at a moment that is `usable`, else of a new one. The new one goes on
    /// if the caller goes away, for others may wait for it.
    pub(crate) async fn ask<F>(
        &self,
        key: K,
        usable: impl Fn(Moment) -> bool,
        now: impl Fn() -> Moment,
        question: impl Fn(Moment) -> F,
    ) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        loop {
            let (mut answer, is_usable) = self.join(&key, &usable, &now, &question);
            let outcome = answer.wait_for(Option::is_some).await;
            let outcome = outcome.ok().and_then(|value| value.clone());
            if let (Some(value), true) = (outcome, is_usable) {
                return value;
            }
        }
    }

    fn join<F>(
        &self,
        key: &K,
        usable: &impl Fn(Moment) -> bool,
        now: &impl Fn() -> Moment,
        question: &impl Fn(Moment) -> F,
    ) -> (watch::Receiver<Option<V>>, bool)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(asked) = running.get(key) {
            return (asked.answer.clone(), usable(asked.at));
        }
        let at = now();
        let (sender, answer) = watch::channel(None);
        let asked = Asked {
            at,
            answer: answer.clone(),
        };
        running.insert(key.clone(), asked);
        drop(running);
        let entry = Entry {
            running: Arc::clone(&self.running),
            key: key.clone(),
        };
        let question = question(at);
        tokio::spawn(async move {
            let value = question.await;
            // Off the list first: who has the answer does not find the question still there.
            drop(entry);
            sender.send_replace(Some(value));
        });
        (answer, true)
    }
}
