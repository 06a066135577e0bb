//! Ranger's policies for a path service, with the answers of Ranger's own engine.
//!
//! **Owns:** the JSON of policies, zones, tags and roles ([`model`]), what they say of a request ([`Snapshot`]), and where they come from
//! (`source`). **Refuses to own:** who a caller is, the clock, and what happens where policies say nothing (that is [`crate::native`]).
//!
//! **Life of a decision:** a [`Snapshot`] is compiled once a version. A [`Request`] finds the only zone of its path, then the tags of the
//! path and the policies that name them, then the few policies whose values may mean the path (by what it begins with, or by a text that
//! it has in it). Each says allow, deny or nothing; the highest priority wins, and there a deny. Nothing is allocated on the way.

mod access;
mod audit_rules;
mod compile;
mod condition;
mod context;
mod decide;
pub mod delta;
mod explain;
mod glob;
mod index;
pub mod model;
mod order;
mod pattern;
#[allow(clippy::module_inception)]
mod policy;
mod principals;
mod schedule;
mod snapshot;
pub mod suite;
mod tagging;
mod template;
mod verdicts;

pub use access::{Access, FsAction};
pub use compile::{CompileError, Material, PluginConfig};
pub use decide::{Decision, Outcome, PolicyRef, Request};
pub use explain::{Candidate, Explanation};
pub use snapshot::{Counts, Snapshot};
