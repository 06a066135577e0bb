//! Answers, kept for a while and refreshed behind.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::Mutex;

use super::{Source, look_up};
use crate::Groups;

/// Users whose groups are kept.
const USERS_MAX: u64 = 100_000;
/// Lookups that run at once, at most; two of one user never do.
const LOOKUPS_MAX: usize = 64;

/// How long answers are kept.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Of a user that is known.
    pub known: Duration,
    /// Of a failure, and of a user that nobody knows.
    pub negative: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            known: Duration::from_secs(300),
            negative: Duration::from_secs(30),
        }
    }
}

/// Groups of users, by the sources and what they said lately.
#[derive(Debug)]
pub struct CachedGroups {
    sources: Vec<Source>,
    lifetimes: Lifetimes,
    answers: Cache<Arc<str>, Arc<Answer>>,
    lookups: Vec<Mutex<()>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Answer {
    groups: Groups,
    at: Instant,
    lives: Duration,
    refreshing: AtomicBool,
}

impl Answer {
    fn holds(&self) -> bool {
        self.at.elapsed() < self.lives
    }

    /// True once, when it is time to ask again.
    fn begins_refresh(&self) -> bool {
        self.at.elapsed() >= self.lives * 3 / 4 && !self.refreshing.swap(true, Ordering::Relaxed)
    }
}

impl CachedGroups {
    /// Asks these, in this order.
    pub fn new(sources: Vec<Source>, lifetimes: Lifetimes) -> Arc<Self> {
        Arc::new(Self {
            sources,
            lifetimes,
            answers: Cache::new(USERS_MAX),
            lookups: (0..LOOKUPS_MAX).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        })
    }

    /// The groups of `user`; unknown if they could not be looked up.
    pub async fn of(self: &Arc<Self>, user: &str) -> Groups {
        if let Some(answer) = self.answers.get(user).filter(|answer| answer.holds()) {
            if answer.begins_refresh() {
                self.refresh_behind(user, &answer);
            }
            return answer.groups.clone();
        }
        let turn = self.hasher.hash_one(user) as usize % LOOKUPS_MAX;
        let Some(turn) = self.lookups.get(turn) else {
            return Groups::Unknown;
        };
        let _one = turn.lock().await;
        match self.answers.get(user).filter(|answer| answer.holds()) {
            Some(answer) => answer.groups.clone(),
            None => self.ask(user).await,
        }
    }

    /// Forgets what was said of everybody.
    pub fn forget(&self) {
        self.answers.invalidate_all();
    }

    fn refresh_behind(self: &Arc<Self>, user: &str, old: &Arc<Answer>) {
        let (groups, user, old) = (Arc::clone(self), user.to_owned(), Arc::clone(old));
        tokio::spawn(async move {
            let (found, known) = look_up(&groups.sources, &user).await;
            // While the old answer holds, a failure does not take its place.
            if found != Groups::Unknown {
                groups.keep(&user, found, known);
            } else {
                old.refreshing.store(false, Ordering::Relaxed);
            }
        });
    }

    async fn ask(&self, user: &str) -> Groups {
        let (groups, known) = look_up(&self.sources, user).await;
        self.keep(user, groups.clone(), known);
        groups
    }

    fn keep(&self, user: &str, groups: Groups, known: bool) {
        let lives = if known {
            self.lifetimes.known
        } else {
            self.lifetimes.negative
        };
        let answer = Answer {
            groups,
            at: Instant::now(),
            lives,
            refreshing: AtomicBool::new(false),
        };
        self.answers.insert(user.into(), Arc::new(answer));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::Found;
    use super::*;

    /// A map that counts its questions.
    fn map(asked: &Arc<AtomicUsize>) -> Source {
        let asked = Arc::clone(asked);
        Source::Map(Arc::new(move |user| {
            asked.fetch_add(1, Ordering::Relaxed);
            match user {
                "ann" => Found::Groups(vec!["a".to_owned()]),
                _ => Found::Nobody,
            }
        }))
    }

    fn file(text: &str) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups");
        std::fs::write(&path, text).unwrap();
        let file = super::super::GroupFile::open(path).unwrap();
        (folder, Source::File(file))
    }

    fn away() -> Source {
        Source::Ldap(Box::new(
            super::super::Ldap::new(super::super::LdapConfig {
                url: "ldap://127.0.0.1:1".to_owned(),
                ..super::super::LdapConfig::default()
            })
            .unwrap(),
        ))
    }

    #[tokio::test]
    async fn the_first_that_knows_the_user_tells() {
        let asked = Arc::default();
        let (_folder, file) = file("bob: b\nann: file\n");
        let groups = CachedGroups::new(vec![file, map(&asked)], Lifetimes::default());
        assert_eq!(groups.of("ann").await, Groups::known(["file"]));
        assert_eq!(groups.of("bob").await, Groups::known(["b"]));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert_eq!(
            groups.of("nobody").await,
            Groups::known(Vec::<String>::new())
        );
    }

    #[tokio::test]
    async fn a_failure_is_unknown_and_nobody_else_is_asked() {
        let asked = Arc::default();
        let (_folder, file) = file("bob: b\n");
        let groups = CachedGroups::new(vec![file, away(), map(&asked)], Lifetimes::default());
        assert_eq!(groups.of("ann").await, Groups::Unknown);
        assert_eq!(groups.of("bob").await, Groups::known(["b"]));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn answers_are_kept_and_many_ask_once() {
        let asked = Arc::default();
        let groups = CachedGroups::new(vec![map(&asked)], Lifetimes::default());
        let all = (0..50).map(|_| groups.of("ann"));
        for told in futures::future::join_all(all).await {
            assert_eq!(told, Groups::known(["a"]));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        groups.forget();
        groups.of("ann").await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_short_life_is_asked_again() {
        let asked = Arc::default();
        let none = Lifetimes {
            known: Duration::ZERO,
            negative: Duration::ZERO,
        };
        let groups = CachedGroups::new(vec![map(&asked)], none);
        groups.of("ann").await;
        groups.of("ann").await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
