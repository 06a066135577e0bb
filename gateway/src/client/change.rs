//! `moongate rm`, `cp` and `mv`: what is changed on the server.

use super::across::Across;
use super::address::{Address, join};
use super::args::{CopyArgs, RmArgs};
use super::entry::Entry;
use super::error::ClientError;
use super::expand;
use super::failures::Failures;
use super::remote::{Remote, folder_form};

/// Carries out `moongate rm`.
///
/// # Errors
/// [`ClientError::Unreachable`]; the rest is counted.
pub async fn rm(
    args: &RmArgs,
    remote: &Remote,
    at: &[Address],
    failures: &mut Failures,
) -> Result<(), ClientError> {
    for address in at {
        let found = match expand::there(remote, address).await {
            Err(error) if args.force && is_nothing(&error) => continue,
            Ok(found) => found,
            Err(error) => {
                failures.take(&address.path, Err(error))?;
                continue;
            }
        };
        for entry in found {
            let removed = remove(args, remote, &entry).await;
            failures.take(&entry.full_path, removed)?;
        }
    }
    Ok(())
}

fn is_nothing(error: &ClientError) -> bool {
    error.is_missing()
        || matches!(error, ClientError::Impossible(text) if text == "nothing matches")
}

async fn remove(args: &RmArgs, remote: &Remote, entry: &Entry) -> Result<(), ClientError> {
    if entry.is_folder() && !args.recursive {
        return Err(ClientError::Impossible(
            "is a folder: -r removes it with all that is in it".to_owned(),
        ));
    }
    if entry.full_path == "/" {
        return Err(ClientError::Impossible(
            "everything is not removed at once: name its folders ('/*')".to_owned(),
        ));
    }
    remote.delete(&entry.full_path, entry.is_folder()).await
}

/// What `cp` and `mv` differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It stays.
    Copy,
    /// It goes.
    Move,
}

/// Carries out `moongate cp` or `moongate mv`; the last address is where it goes.
///
/// # Errors
/// As [`rm`]; [`ClientError::Usage`].
pub async fn transfer(
    verb: Verb,
    args: &CopyArgs,
    remote: &Remote,
    at: &[Address],
    failures: &mut Failures,
) -> Result<(), ClientError> {
    let Some((to, from)) = at.split_last() else {
        return Ok(());
    };
    let many = from.len() > 1 || from.iter().any(|from| expand::is_pattern(&from.path));
    if many && !to.folder_form {
        let text = format!(
            "{}: of several, the last address is a folder: end it with a slash",
            to.path
        );
        return Err(ClientError::Usage(text));
    }
    for from in from {
        let done = transfer_from(verb, args, remote, from, to).await;
        failures.take(&from.path, done)?;
    }
    Ok(())
}

async fn transfer_from(
    verb: Verb,
    args: &CopyArgs,
    remote: &Remote,
    from: &Address,
    to: &Address,
) -> Result<(), ClientError> {
    for entry in expand::there(remote, from).await? {
        match verb {
            Verb::Copy => {
                // With its slash the server puts it into the folder, also where something of its name is there.
                let path = match to.folder_form {
                    true => folder_form(&to.path),
                    false => to.path.clone(),
                };
                remote
                    .transfer("cp.from", &entry.full_path, &path, args.force)
                    .await?;
            }
            Verb::Move => move_to(args, remote, &entry, &target(&entry, to)).await?,
        }
    }
    Ok(())
}

/// Renames; between stores, where that cannot be done, moves file by file. What is there already may be what an earlier such move has brought.
async fn move_to(
    args: &CopyArgs,
    remote: &Remote,
    entry: &Entry,
    to: &str,
) -> Result<(), ClientError> {
    let from = &entry.full_path;
    let across = Across::new(remote, args.force);
    let free = match args.force {
        true => Ok(()),
        false => check_free(remote, to).await,
    };
    match free {
        Ok(()) => match remote.transfer("mv.from", from, to, args.force).await {
            Err(error) if error.is_not_implemented() => across.run(entry, to).await,
            done => done,
        },
        Err(taken @ ClientError::Impossible(_)) => match across.run(entry, to).await {
            // They are in one store.
            Err(ClientError::Refused { status, .. }) if status.as_u16() == 400 => Err(taken),
            done => done,
        },
        Err(error) => Err(error),
    }
}

/// Into a folder under its own name, or under a new one.
fn target(entry: &Entry, to: &Address) -> String {
    match to.folder_form {
        true => join(&to.path, entry.name()),
        false => to.path.clone(),
    }
}

/// The server's move replaces what is there, as `rename` does; a person may not have meant that.
async fn check_free(remote: &Remote, target: &str) -> Result<(), ClientError> {
    match remote.stat(target).await {
        Ok(_) => Err(ClientError::Impossible(format!(
            "{target} is there already: --force replaces it"
        ))),
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::Server;
    use super::*;

    #[test]
    fn a_slash_means_into() {
        let to = |text| Address::parse(text, &Server::parse("h").unwrap()).unwrap();
        let entry = Entry {
            full_path: "/a/b".to_owned(),
            ..Entry::default()
        };
        assert_eq!(target(&entry, &to("/c/")), "/c/b");
        assert_eq!(target(&entry, &to("/c")), "/c");
        assert_eq!(target(&entry, &to("/")), "/b");
    }
}
