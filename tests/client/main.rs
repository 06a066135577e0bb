//! End to end tests of the commands that talk to a server: `moongate put`, `get` and the others, as a script uses them.
//!
//! Each file is one area; each test's name is the fact that it holds.
#![allow(clippy::unwrap_used)]

mod carrying;
mod commands;
mod killed;
mod python;
mod shell;
