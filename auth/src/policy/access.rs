//! Kinds of access as bits.

use std::collections::HashMap;
use std::fmt;

use super::model::{ItemAccess, ServiceDef};
use super::policy::Says;

/// What HDFS asks: some of read, write and execute at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FsAction(u8);

impl FsAction {
    /// `r--`
    pub const READ: Self = Self(4);
    /// `-w-`
    pub const WRITE: Self = Self(2);
    /// `--x`
    pub const EXECUTE: Self = Self(1);
    /// `r-x`
    pub const READ_EXECUTE: Self = Self(5);
    /// `rw-`
    pub const READ_WRITE: Self = Self(6);
    /// `-wx`
    pub const WRITE_EXECUTE: Self = Self(3);
    /// `rwx`
    pub const ALL: Self = Self(7);

    /// The `rwx` bits, as in a mode.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Of the lowest three bits; `None` if none is set.
    pub const fn of_bits(bits: u8) -> Option<Self> {
        match bits & 7 {
            0 => None,
            bits => Some(Self(bits)),
        }
    }

    /// By Hadoop's name: `READ_EXECUTE`.
    pub fn named(name: &str) -> Option<Self> {
        let all = (1..8).map(Self);
        all.into_iter()
            .find(|action| action.name().eq_ignore_ascii_case(name))
    }

    /// Hadoop's name.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "EXECUTE",
            2 => "WRITE",
            3 => "WRITE_EXECUTE",
            4 => "READ",
            5 => "READ_EXECUTE",
            6 => "READ_WRITE",
            7 => "ALL",
            _ => "NONE",
        }
    }

    /// Ranger's kinds of access that it is made of.
    pub fn types(self) -> impl Iterator<Item = &'static str> {
        let all = [("read", 4), ("write", 2), ("execute", 1)];
        all.into_iter()
            .filter(move |(_, bit)| self.0 & bit != 0)
            .map(|(name, _)| name)
    }

    /// These, as audits have them: `[read, execute]`.
    pub const fn types_text(self) -> &'static str {
        match self.0 {
            1 => "[execute]",
            2 => "[write]",
            3 => "[write, execute]",
            4 => "[read]",
            5 => "[read, execute]",
            6 => "[read, write]",
            7 => "[read, write, execute]",
            _ => "[]",
        }
    }

    /// The one kind that stands for it in audits.
    pub const fn audit_type(self) -> &'static str {
        match self.0 {
            1 => "execute",
            4 | 5 => "read",
            _ => "write",
        }
    }
}

impl fmt::Display for FsAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// As HDFS does.
    Fs(FsAction),
    /// Anything at all.
    Any,
    /// One kind by its name.
    Named(&'a str),
}

/// A bit for each kind of access that policies name.
#[derive(Debug)]
pub(super) struct AccessTypes {
    bits: HashMap<Box<str>, u64>,
    implied: HashMap<Box<str>, Vec<String>>,
    /// Kinds of the service's definition.
    defined: usize,
    /// Their bits.
    all: u64,
}

/// Any kind at all.
const ANY: u64 = 1 << 63;
/// A kind that no policy names.
const UNNAMED: u64 = 1 << 62;
/// Kinds of access of one service.
const TYPES_MAX: usize = 62;

/// The bits of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// What is asked of policies.
    pub bits: u64,
    /// What verdicts are kept of: the same, or one for any kind at all.
    pub kinds: u64,
    /// Which of them may stay undecided if the others are allowed.
    pub optional: u64,
}

impl AccessTypes {
    /// Of a service's definition.
    pub(super) fn new(def: Option<&ServiceDef>) -> Self {
        let mut types = Self {
            bits: HashMap::new(),
            implied: HashMap::new(),
            defined: def.map_or(3, |def| def.access_types.len().max(1)),
            all: 0,
        };
        let own = ["read", "write", "execute"].map(|name| types.bit(name));
        for kind in def.into_iter().flat_map(|def| &def.access_types) {
            types.all |= types.bit(&kind.name);
            let name = kind.name.to_lowercase();
            types
                .implied
                .insert(name.into(), kind.implied_grants.clone());
        }
        if types.all == 0 {
            types.all = own.iter().fold(0, |all, bit| all | bit);
        }
        types
    }

    /// Kinds of the service's definition.
    pub(super) const fn defined(&self) -> usize {
        self.defined
    }

    /// The bit of a kind; a new one for a new kind. Beyond the most that there may be, kinds share the last bit.
    fn bit(&mut self, name: &str) -> u64 {
        let name = name.to_lowercase();
        let next = self.bits.len().min(TYPES_MAX - 1);
        *self.bits.entry(name.into()).or_insert(1 << next)
    }

    /// The bits of an item, with what its kinds imply.
    pub(super) fn of_item(&mut self, accesses: &[ItemAccess]) -> u64 {
        let mut bits = 0;
        for access in accesses.iter().filter(|access| access.is_allowed) {
            bits |= self.bit(&access.kind);
            let implied = self.implied.get(&*access.kind.to_lowercase()).cloned();
            for kind in implied.into_iter().flatten() {
                bits |= self.bit(&kind);
            }
        }
        bits
    }

    /// Whether there are more kinds than there are bits.
    pub(super) fn is_full(&self) -> bool {
        self.bits.len() > TYPES_MAX
    }

    /// The bits of a request.
    pub(super) fn asked(&self, access: Access<'_>) -> Asked {
        let one = |name: &str| self.bits.get(name).copied().unwrap_or(UNNAMED);
        let plain = |bits, optional| Asked {
            bits,
            kinds: bits,
            optional,
        };
        match access {
            Access::Any => Asked {
                bits: self.all,
                kinds: ANY,
                optional: 0,
            },
            Access::Named(name) => plain(one(&name.to_lowercase()), 0),
            Access::Fs(action) => {
                let bits = action.types().fold(0, |bits, name| bits | one(name));
                let execute = one("execute");
                plain(bits, if bits == execute { 0 } else { execute })
            }
        }
    }
}

impl Asked {
    /// What a policy says of the kinds that verdicts are kept of: any kind is allowed by one, and denied by all.
    pub(super) fn of_kinds(&self, says: Says) -> Says {
        if self.kinds == self.bits {
            return says;
        }
        let kind = |yes: bool| if yes { self.kinds } else { 0 };
        Says {
            allow: kind(says.allow != 0),
            deny: kind(says.deny == self.bits),
        }
    }
}
