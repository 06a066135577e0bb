//! The file port's calls, each tried again where that may help.

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{HeaderMap, Method, header};
use serde::Deserialize;

use super::entry::Entry;
use super::error::ClientError;
use super::http::{Call, Http, NDJSON};
use super::lines::Lines;
use super::retry::Patience;

/// A server, and the patience with it.
#[derive(Debug)]
pub struct Remote {
    /// The connections.
    pub http: Http,
    retries_max: usize,
}

/// What a folder holds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Usage {
    /// Files in it and below.
    pub files: u64,
    /// Folders below it.
    pub folders: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

impl Remote {
    /// `retries_max`: tries after the first.
    pub const fn new(http: Http, retries_max: usize) -> Self {
        Self { http, retries_max }
    }

    /// Fresh patience, for one piece of work.
    pub fn patience(&self) -> Patience {
        Patience::new(self.retries_max)
    }

    /// Waits until the work may be tried again.
    ///
    /// # Errors
    /// The error given, where it is no use to try again. A server that has never answered is not waited for: it is more likely
    /// that its address is wrong.
    pub async fn pause(
        &self,
        patience: &mut Patience,
        error: ClientError,
    ) -> Result<(), ClientError> {
        if error.is_unreachable() && !self.http.has_answered() {
            return Err(error);
        }
        patience.pause(error).await
    }

    /// Sends what `call` makes until there is an answer.
    ///
    /// # Errors
    /// The last one.
    pub async fn ask<'a>(
        &self,
        call: impl Fn() -> Call<'a>,
    ) -> Result<(HeaderMap, Bytes), ClientError> {
        let mut patience = self.patience();
        loop {
            match self.http.send_and_read(call()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.pause(&mut patience, error).await?,
            }
        }
    }

    /// What is at a path.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::is_missing`] where there is nothing.
    pub async fn stat(&self, path: &str) -> Result<Entry, ClientError> {
        let (_, bytes) = self.stat_json(path).await?;
        let mut entry: Entry = parsed(&bytes)?;
        if entry.full_path.is_empty() {
            path.clone_into(&mut entry.full_path);
        }
        Ok(entry)
    }

    /// As [`Self::stat`], as the server says it.
    ///
    /// # Errors
    /// As [`Self::stat`].
    pub async fn stat_json(&self, path: &str) -> Result<(HeaderMap, Bytes), ClientError> {
        self.ask(|| Call::new(Method::GET, path).query("metadata=true"))
            .await
    }

    /// What a folder holds, all of it counted by the server.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn usage(&self, path: &str) -> Result<Usage, ClientError> {
        let path = folder_form(path);
        let call = || Call::new(Method::GET, &path).query("usage=true");
        let (_, bytes) = self.ask(call).await?;
        parsed(&bytes)
    }

    /// Makes a folder; one that is there is as good.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn make_folder(&self, path: &str) -> Result<(), ClientError> {
        let path = folder_form(path);
        match self.ask(|| Call::new(Method::POST, &path)).await {
            Ok(_) => Ok(()),
            Err(ClientError::Refused { status, reason, .. }) if status.as_u16() == 409 => {
                let there = self.stat(path.trim_end_matches('/')).await?;
                match there.is_folder() {
                    true => Ok(()),
                    false => Err(ClientError::Impossible(reason)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a file, or a folder with all that is in it.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn delete(&self, path: &str, folder: bool) -> Result<(), ClientError> {
        let query = if folder { "recursive=true" } else { "" };
        let mut patience = self.patience();
        let mut again = false;
        loop {
            let call = Call::new(Method::DELETE, path).query(query);
            match self.http.send_and_read(call).await {
                Ok(_) => return Ok(()),
                // The try before it may have been carried out, and only its answer lost.
                Err(error) if again && error.is_missing() => return Ok(()),
                Err(error) => self.pause(&mut patience, error).await?,
            }
            again = true;
        }
    }

    /// Copies (`cp.from`) or moves (`mv.from`) on the server. Where the answer is lost it is not tried again: it may be done.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn transfer(
        &self,
        verb: &str,
        from: &str,
        to: &str,
        overwrite: bool,
    ) -> Result<(), ClientError> {
        let mut query = Serializer::new(String::new());
        query.append_pair(verb, from);
        if overwrite {
            query.append_pair("overwrite", "true");
        }
        let query = query.finish();
        let mut patience = self.patience();
        loop {
            let call = Call::new(Method::POST, to).query(query.as_str());
            match self.http.send_and_read(call).await {
                Ok(_) => return Ok(()),
                Err(ClientError::Broken(reason)) => {
                    let text =
                        format!("{reason}, and the answer is lost: look whether {to} is there");
                    return Err(ClientError::Impossible(text));
                }
                Err(error) => self.pause(&mut patience, error).await?,
            }
        }
    }

    /// Moves a file to another store, or makes a folder there. Where the answer is lost it is tried again: what has arrived is not copied again.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn move_across(
        &self,
        from: &str,
        to: &str,
        overwrite: bool,
    ) -> Result<(), ClientError> {
        let mut query = Serializer::new(String::new());
        query.append_pair("mv.from", from);
        query.append_pair("across", "true");
        if overwrite {
            query.append_pair("overwrite", "true");
        }
        let query = query.finish();
        let mut patience = self.patience();
        let mut again = false;
        loop {
            let call = Call::new(Method::POST, to).query(query.as_str());
            match self.http.send_and_read(call).await {
                Ok(_) => return Ok(()),
                // The try before it was carried out, and only its answer lost.
                Err(error) if again && error.is_missing() && self.stat(to).await.is_ok() => {
                    return Ok(());
                }
                Err(error) => self.pause(&mut patience, error).await?,
            }
            again = true;
        }
    }

    /// Deletes a folder in which nothing is any more.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn delete_empty(&self, path: &str) -> Result<(), ClientError> {
        match self.ask(|| Call::new(Method::DELETE, path)).await {
            Err(error) if error.is_missing() => Ok(()),
            done => done.map(drop),
        }
    }

    /// Lists a folder, or all that is below it, in the order of the paths.
    pub fn list(&self, folder: &str, recursive: bool) -> Listing<'_> {
        Listing {
            remote: self,
            folder: folder_form(folder),
            recursive,
            lines: None,
            last: None,
            patience: self.patience(),
        }
    }
}

/// With the slash that says that a folder is meant.
pub fn folder_form(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| ClientError::Answer(error.to_string()))
}

/// A listing that is read as it comes; where the connection breaks it goes on behind the last entry.
#[derive(Debug)]
pub struct Listing<'r> {
    remote: &'r Remote,
    folder: String,
    recursive: bool,
    lines: Option<Lines>,
    last: Option<String>,
    patience: Patience,
}

impl Listing<'_> {
    /// The next entry; `None` at the end, which the server has said.
    ///
    /// # Errors
    /// As [`Remote::ask`].
    pub async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        loop {
            match self.try_next().await {
                Ok(Some(entry)) if self.is_behind(&entry) => {}
                Ok(Some(entry)) => {
                    self.patience.renew();
                    self.last = Some(entry.full_path.clone());
                    return Ok(Some(entry));
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.lines = None;
                    self.remote.pause(&mut self.patience, error).await?;
                }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<Entry>, ClientError> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => self
                .lines
                .insert(Self::begin(self.remote, &self.folder, self.recursive).await?),
        };
        match lines.next::<Entry>().await? {
            Some(Entry {
                failure: Some(text),
                ..
            }) => Err(ClientError::Broken(text)),
            Some(entry) if entry.ends => Ok(None),
            Some(entry) => Ok(Some(entry)),
            None => Err(ClientError::Broken("the listing has no end".to_owned())),
        }
    }

    async fn begin(remote: &Remote, folder: &str, recursive: bool) -> Result<Lines, ClientError> {
        let query = if recursive { "recursive=true" } else { "" };
        let call = Call::new(Method::GET, folder)
            .query(query)
            .header(header::ACCEPT, NDJSON);
        let answer = remote.http.send(call).await?;
        match answer.header("content-type") {
            Some(kind) if kind.starts_with(NDJSON) => Ok(Lines::of(answer)),
            _ => Err(ClientError::Impossible(format!(
                "{folder}: is a file there, not a folder"
            ))),
        }
    }

    /// Whether it was had before the connection broke.
    fn is_behind(&self, entry: &Entry) -> bool {
        let last = self.last.as_deref();
        last.is_some_and(|last| entry.full_path.split('/').le(last.split('/')))
    }
}
