//! Where volumes come from, behind one trait. There is no database: what exists is read from gluster and from the bricks.

pub mod image;
pub mod parameters;

use crate::error::Result;
use parameters::Parameters;

/// A volume that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name in gluster, which is its CSI id.
    pub id: String,
    /// What may be written to it.
    pub size_bytes: u64,
    /// Hosts that tell a client where the bricks are.
    pub servers: Vec<String>,
}

/// Makes volumes and takes them away. Every call may be repeated, also after half of it was done.
#[async_trait::async_trait]
pub trait Provisioner: Send + Sync {
    /// Makes a volume of exactly this size and brings it up. One that is there is finished, whatever its size: the answer says it.
    ///
    /// # Errors
    /// `NoSpace` with numbers, `Unavailable` where a node does not answer.
    async fn create(&self, id: &str, size_bytes: u64, parameters: &Parameters) -> Result<Volume>;

    /// Takes it away with its data; one that is gone is success.
    ///
    /// # Errors
    /// `NotNow` with the clients' names while it is mounted.
    async fn delete(&self, id: &str) -> Result<()>;

    /// Makes it larger while it is in use.
    ///
    /// # Errors
    /// `NotFound`, `NoSpace`.
    async fn expand(&self, id: &str, size_bytes: u64) -> Result<Volume>;

    /// All volumes, by id.
    ///
    /// # Errors
    /// `Unavailable` where no node answers.
    async fn list(&self) -> Result<Vec<Volume>>;

    /// The largest volume that can be made now, in bytes.
    ///
    /// # Errors
    /// `Unavailable` where a node does not answer.
    async fn capacity(&self, parameters: &Parameters) -> Result<u64>;
}
