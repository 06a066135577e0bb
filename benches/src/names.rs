//! Questions about names: the same one again and again over a few connections, by a client that takes any answer of HTTP/1.1.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use moongate_tests::{Connection, Request};

use crate::load::Round;

const CONNECTIONS: usize = 8;

/// A question.
pub struct Names {
    /// Whom to ask.
    pub address: SocketAddr,
    /// What.
    pub target: String,
    /// How long.
    pub window: Duration,
}

/// Asks it for as long as it says; each answer must be a 200 that is as long as the first.
///
/// # Errors
/// Another answer, or none.
pub fn ask(names: &Names) -> Result<Round> {
    let begun = Instant::now();
    let asked = thread::scope(|scope| {
        let each: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| ask_alone(names, begun)))
            .collect();
        let mut asked = 0;
        for one in each {
            match one.join() {
                Ok(one) => asked += one?,
                Err(_) => bail!("{}: a client panicked", names.target),
            }
        }
        Ok(asked)
    });
    Ok(Round {
        operations: asked?,
        elapsed: begun.elapsed(),
        ..Round::default()
    })
}

fn ask_alone(names: &Names, begun: Instant) -> Result<u64> {
    let request = Request::get(&names.target);
    let mut connection = Connection::open(names.address)?;
    let (mut asked, mut len) = (0, None);
    while begun.elapsed() < names.window {
        // Some servers end a connection after so many answers.
        let answer = match connection.send(&request) {
            Ok(answer) => answer,
            Err(_) => {
                connection = Connection::open(names.address)?;
                connection.send(&request)?
            }
        };
        ensure!(
            answer.status == 200,
            "{}: status {}",
            names.target,
            answer.status
        );
        let first = *len.get_or_insert(answer.body.len());
        ensure!(
            answer.body.len() == first,
            "{}: another answer",
            names.target
        );
        asked += 1;
    }
    Ok(asked)
}
