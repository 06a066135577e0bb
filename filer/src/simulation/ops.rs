//! Random operations on the tree, done by the filer and by the model.

use std::fmt::Debug;

use super::model::Model;
use super::world::{Told, World};
use crate::entry::{Attributes, Body, Chunk, Content, Entry, MODE_OF_PARENTS, Needle};
use crate::{FilePath, FilerError, ListOptions, Name, Pattern, PutOptions, RenameOptions};

/// Few, so that collisions are common; the last sorts between `b` and what is in `b`.
const NAMES: [&str; 4] = ["a", "b", "c", "b."];
const DEPTH: u64 = 4;

pub type Answer<T> = Result<T, FilerError>;

impl World {
    /// One operation.
    pub fn step(&mut self) -> Told<()> {
        self.now_ns += self.rng.below(3) * 700_000_000;
        let mut model = self.model();
        model.expire(self.now_ns);
        let last = self.history.len() - 1;
        self.history[last] = model;
        match self.rng.below(32) {
            0..=7 => self.put(),
            8..=10 => self.put_many(),
            11..=12 => self.put_with(),
            13..=14 => self.update(),
            15..=16 => self.make_folder(),
            17..=20 => self.rename(),
            21..=23 => self.delete(),
            24 => self.list(),
            25 => self.find(),
            26 => self.sweep(),
            27 => self.sweep_expired(),
            28 => self.released(),
            29 => self.forget(),
            30 => self.hold(),
            _ => self.drop_hold(),
        }
    }

    fn path(&mut self) -> FilePath {
        let depth = 1 + self.rng.below(DEPTH);
        let text: String = (0..depth)
            .map(|_| format!("/{}", self.rng.pick(&NAMES)))
            .collect();
        FilePath::parse(&text).unwrap()
    }

    /// Mostly one that is there.
    fn known_path(&mut self) -> FilePath {
        let known: Vec<FilePath> = self.model().tree.into_keys().collect();
        match known.is_empty() || self.rng.one_in(3) {
            true => self.path(),
            false => self.rng.pick(&known).clone(),
        }
    }

    fn needle(&mut self) -> Needle {
        self.next_key += 1;
        Needle {
            volume: 1,
            key: self.next_key,
            cookie: 5,
        }
    }

    fn chunk(&mut self, offset: u64) -> Chunk {
        Chunk {
            needle: self.needle(),
            offset,
            bytes: 10,
            modified_ns: self.now_ns,
            md5: None,
            crc32c: None,
        }
    }

    fn file(&mut self) -> Entry {
        let ttl_secs = if self.rng.one_in(4) {
            1 + self.rng.below(15) as u32
        } else {
            0
        };
        let attributes = Attributes {
            crtime_ns: self.now_ns,
            ttl_secs,
            ..Attributes::default()
        };
        let content = match self.rng.below(5) {
            0 => Content::inline(vec![1, 2]),
            1 => Content::chunks(vec![self.chunk(0), self.chunk(10)]),
            _ => Content::chunks(vec![self.chunk(0)]),
        };
        Entry::file(attributes, content)
    }

    /// What is made on the way.
    fn parent(&self) -> Entry {
        Entry::folder(Attributes {
            mode: MODE_OF_PARENTS,
            mtime_ns: self.now_ns,
            crtime_ns: self.now_ns,
            ..Attributes::default()
        })
    }

    fn options(&mut self) -> PutOptions {
        PutOptions {
            may_replace: !self.rng.one_in(4),
            make_parents: !self.rng.one_in(4),
            durable: !self.rng.one_in(4),
        }
    }

    /// Compares what the filer answered with what the model does.
    pub fn judge<T: Debug + PartialEq>(
        &mut self,
        what: &str,
        durable: bool,
        actual: Answer<T>,
        expected: impl FnOnce(&mut Model) -> Answer<T>,
    ) -> Told<()> {
        let mut next = self.model();
        let expected = expected(&mut next);
        self.trace.note(format_args!("{what}: {}", brief(&actual)));
        match (actual, expected) {
            (Err(FilerError::Storage(error)), expected) => {
                self.uncertain(&error, expected.is_ok().then_some(next))
            }
            (Ok(actual), Ok(expected)) if actual == expected => {
                if durable {
                    self.history.clear();
                }
                self.history.push(next);
                Ok(())
            }
            (Err(actual), Err(expected)) if actual == expected => Ok(()),
            (actual, expected) => Err(format!("{what}: {actual:?} and not {expected:?}")),
        }
    }

    /// The database failed: the change may be there or not.
    fn uncertain(&mut self, error: &str, next: Option<Model>) -> Told<()> {
        if !matches!(self.home, super::world::Home::Sim(_)) {
            return Err(format!("RocksDB failed: {error}"));
        }
        self.history.extend(next);
        self.broken = true;
        Ok(())
    }

    fn put(&mut self) -> Told<()> {
        let (path, entry, options) = (self.path(), self.file(), self.options());
        let (now, parent) = (self.now_ns, self.parent());
        let actual = self.filer()?.put(&path, entry.clone(), options, now);
        let what = format!("put {path} {options:?}");
        self.judge(&what, options.durable, actual, |m| {
            m.put(&path, entry, options, &parent)
        })
    }

    fn put_many(&mut self) -> Told<()> {
        let mut entries = Vec::new();
        for _ in 0..=self.rng.below(5) {
            let path = self.path();
            let entry = match self.rng.one_in(6) {
                true => Entry::folder(Attributes::default()),
                false => self.file(),
            };
            entries.push((path, entry));
        }
        let (now, parent, mut options) = (self.now_ns, self.parent(), self.options());
        options.make_parents |= self.rng.one_in(2);
        let actual = self.filer()?.put_many(entries.clone(), options, now);
        let paths: Vec<&str> = entries.iter().map(|(path, _)| path.as_str()).collect();
        let what = format!("put many {paths:?} {options:?}");
        // Which of several refusals is told is not said.
        let actual = actual.map_err(any_refusal);
        self.judge(&what, options.durable, actual, |model| {
            let before = model.clone();
            let puts = entries.clone().into_iter();
            let all = puts.map(|(path, entry)| model.put(&path, entry, options, &parent));
            let all: Answer<Vec<_>> = all.collect();
            all.map_err(|error| {
                *model = before;
                any_refusal(error)
            })
        })
    }

    /// Appends a chunk, or makes the file.
    fn put_with(&mut self) -> Told<()> {
        let (path, options, now) = (self.known_path(), self.options(), self.now_ns);
        let (fresh, parent) = (self.file(), self.parent());
        let options = PutOptions {
            may_replace: true,
            ..options
        };
        let more = self.chunk(20);
        let make = |before: Option<&Entry>| {
            let mut entry = before.cloned().unwrap_or(fresh.clone());
            if before.is_some() {
                append(&mut entry, more.clone());
            }
            Ok::<_, FilerError>(entry)
        };
        let actual = self.filer()?.put_with(&path, options, now, make);
        let what = format!("put with {path} {options:?}");
        self.judge(&what, options.durable, actual, |model| {
            let before = model.tree.get(&path).filter(|entry| !entry.is_folder());
            let entry = make(before)?;
            model
                .put(&path, entry.clone(), options, &parent)
                .map(|_| entry)
        })
    }

    /// Tags; adds a chunk; takes all chunks but the last.
    fn update(&mut self) -> Told<()> {
        let (path, now, how) = (self.known_path(), self.now_ns, self.rng.below(4));
        let more = self.chunk(5);
        let change = |entry: &mut Entry| {
            match how {
                0 => drop(entry.attributes.extended.insert("tag".into(), vec![1])),
                1 => append(entry, more.clone()),
                2 => keep_last(entry),
                _ => return Err(FilerError::BadName("refused by the caller")),
            }
            Ok(())
        };
        let actual = self.filer()?.update(&path, now, change);
        self.judge(&format!("update {path} {how}"), true, actual, |model| {
            let mut entry = model.find(&path)?.clone();
            change(&mut entry)?;
            model.needles.extend(entry.needles());
            model.tree.insert(path.clone(), entry.clone());
            Ok(entry)
        })
    }

    fn make_folder(&mut self) -> Told<()> {
        let (path, now, parent) = (self.path(), self.now_ns, self.parent());
        let make_parents = self.rng.one_in(2);
        let attributes = Attributes {
            uid: 7,
            ..Attributes::default()
        };
        let actual = self
            .filer()?
            .make_folder(&path, attributes.clone(), make_parents, now);
        let options = PutOptions {
            may_replace: false,
            make_parents,
            durable: true,
        };
        // Those on the way belong to whom the folder belongs to.
        let mut parent = parent;
        parent.attributes.uid = 7;
        let entry = Entry::folder(attributes);
        self.judge(&format!("mkdir {path}"), true, actual, |model| {
            model.put(&path, entry, options, &parent).map(drop)
        })
    }

    fn rename(&mut self) -> Told<()> {
        let (from, to, now) = (self.known_path(), self.known_path(), self.now_ns);
        let to = if self.rng.one_in(2) { self.path() } else { to };
        let options = RenameOptions {
            may_replace: !self.rng.one_in(3),
            make_parents: self.rng.one_in(2),
        };
        let mut parent = self.parent();
        if let Some(source) = self.model().tree.get(&from) {
            parent.attributes.uid = source.attributes.uid;
        }
        let actual = self.filer()?.rename(&from, &to, options, now);
        let what = format!("rename {from} {to} {options:?}");
        self.judge(&what, true, actual, |model| {
            let before = model.clone();
            let done = model.rename(&from, &to, options, &parent);
            done.inspect_err(|_| *model = before)
        })
    }

    fn delete(&mut self) -> Told<()> {
        let (path, now, recursive) = (self.known_path(), self.now_ns, self.rng.one_in(2));
        let actual = self.filer()?.delete(&path, recursive, now);
        self.judge(&format!("delete {path} {recursive}"), true, actual, |m| {
            m.delete(&path, recursive)
        })
    }

    fn list(&mut self) -> Told<()> {
        let (folder, now) = (self.known_path(), self.now_ns);
        let folder = if self.rng.one_in(3) {
            FilePath::root()
        } else {
            folder
        };
        let name =
            |rng: &mut moongate_disk::sim::Rng| Name::parse(rng.pick::<&str>(&NAMES)).unwrap();
        let after = self.rng.one_in(2).then(|| name(&mut self.rng));
        let limit = self.rng.one_in(2).then(|| self.rng.below(3) as usize);
        let patterns = ["*", "b*", "?", "b?", "a", "*."];
        let pattern = self
            .rng
            .one_in(3)
            .then(|| Pattern::new(self.rng.pick::<&str>(&patterns)));
        let exclude = self
            .rng
            .one_in(3)
            .then(|| Pattern::new(self.rng.pick::<&str>(&patterns)));
        let prefix = (*self.rng.pick(&["", "", "b", "b.", "x"])).to_owned();
        let inclusive = self.rng.one_in(2);
        let options = ListOptions {
            after,
            inclusive,
            prefix,
            pattern,
            exclude,
            limit,
        };
        let listing = self.filer()?.list(&folder, options.clone(), now);
        let actual = listing.and_then(|listing| {
            let all = listing.map(|step| step.map(|(name, e)| (name.as_str().to_owned(), e)));
            all.collect::<Answer<Vec<_>>>()
        });
        self.judge(&format!("list {folder} {options:?}"), false, actual, |m| {
            m.list(&folder, &options)
        })
    }

    fn find(&mut self) -> Told<()> {
        let (path, now) = (self.known_path(), self.now_ns);
        let actual = self.filer()?.find(&path, now);
        self.judge(&format!("find {path}"), false, actual, |m| {
            m.find(&path).cloned()
        })
    }
}

fn brief<T>(answer: &Answer<T>) -> String {
    match answer {
        Ok(_) => "done".into(),
        Err(error) => error.to_string(),
    }
}

fn any_refusal(error: FilerError) -> FilerError {
    match error {
        FilerError::Storage(_) => error,
        _ => FilerError::BadName("one was refused"),
    }
}

fn append(entry: &mut Entry, chunk: Chunk) {
    if let Some(content) = entry.content_mut()
        && let Body::Chunks(chunks) = &mut content.body
    {
        content.size = content.size.max(chunk.offset + chunk.bytes);
        chunks.push(chunk);
    }
}

fn keep_last(entry: &mut Entry) {
    if let Some(content) = entry.content_mut()
        && let Body::Chunks(chunks) = &mut content.body
    {
        let last = chunks.len().saturating_sub(1);
        chunks.drain(..last);
    }
}
