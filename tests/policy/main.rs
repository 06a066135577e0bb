//! End to end tests of who may do what: the real binary, with policies of a file and of a Ranger Admin of the tests' own.
#![allow(clippy::unwrap_used)]

mod admin;
mod archives;
mod audit;
mod cluster;
mod commands;
mod namenode;
mod permissions;
mod repeated;
mod state;
mod table;
