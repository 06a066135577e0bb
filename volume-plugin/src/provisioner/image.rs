//! A gluster volume for each PV, on image bricks that the agents make: exact sizes, online growth, no LVM.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use moongate_proto::agent as api;
use moongate_proto::agent::agent_client::AgentClient;
use tonic::transport::Channel;

use super::parameters::Parameters;
use super::{Provisioner, Volume};
use crate::agent::SIZE_OPTION;
use crate::bricks;
use crate::error::{Error, Result};

/// No agent waits longer for gluster.
pub const CALL_LIMIT: Duration = Duration::from_secs(110);

/// An agent, and the host that its node is for gluster.
#[derive(Debug, Clone)]
pub struct Node {
    /// As it stands in gluster's pool.
    pub host: String,
    /// Its agent.
    pub agent: AgentClient<Channel>,
}

/// Volumes over the agents of one gluster cluster.
#[derive(Debug)]
pub struct Image {
    nodes: Vec<Node>,
}

/// A node and what its agent said of its disk.
struct Seen<'a> {
    node: &'a Node,
    look: api::LookResponse,
}

impl Seen<'_> {
    fn left_bytes(&self) -> u64 {
        self.look
            .total_bytes
            .saturating_sub(self.look.promised_bytes)
    }
}

impl Image {
    /// Over these nodes.
    #[must_use]
    pub fn new(nodes: Vec<Node>) -> Self {
        Self { nodes }
    }

    async fn look(&self, brick: &str) -> Result<Vec<Seen<'_>>> {
        let mut seen = Vec::new();
        for node in &self.nodes {
            let request = api::LookRequest {
                brick: brick.to_owned(),
            };
            match node.agent.clone().look(request).await {
                Ok(look) => seen.push(Seen {
                    node,
                    look: look.into_inner(),
                }),
                Err(error) => tracing::warn!(host = node.host, %error, "an agent does not answer"),
            }
        }
        // Those that have the brick of an earlier try first, then those with most room.
        seen.sort_by_key(|seen| (!seen.look.has_brick, std::cmp::Reverse(seen.left_bytes())));
        Ok(seen)
    }

    async fn choose(&self, id: &str, copies: usize) -> Result<Vec<&Node>> {
        if copies > self.nodes.len() {
            return Err(Error::Invalid(format!(
                "{copies} copies need as many nodes, and {} are configured: lower volumetype, or add [[agents]]",
                self.nodes.len()
            )));
        }
        let seen = self.look(id).await?;
        if seen.len() < copies {
            return Err(Error::Unavailable(format!(
                "{copies} nodes are needed, and {} answer: see their agents",
                seen.len()
            )));
        }
        let mut chosen: Vec<&Node> = seen.iter().take(copies).map(|seen| seen.node).collect();
        chosen.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(chosen)
    }

    async fn make_bricks(
        &self,
        id: &str,
        size_bytes: u64,
        parameters: &Parameters,
    ) -> Result<Vec<String>> {
        let mut made = Vec::new();
        for node in self.choose(id, parameters.replica as usize).await? {
            let request = api::EnsureBrickRequest {
                name: id.to_owned(),
                size_bytes,
                gid: parameters.gid,
            };
            let answer = node
                .agent
                .clone()
                .ensure_brick(request)
                .await
                .map_err(|error| of(node, error))?;
            made.push(format!("{}:{}", node.host, answer.into_inner().path));
        }
        Ok(made)
    }

    /// Any agent can tell for the whole cluster, and change it.
    async fn any(&self) -> Result<&Node> {
        for node in &self.nodes {
            let request = api::LookRequest {
                brick: String::new(),
            };
            if node.agent.clone().look(request).await.is_ok() {
                return Ok(node);
            }
        }
        Err(Error::Unavailable(
            "no agent answers: see whether moongate-csi agent runs on the gluster nodes".to_owned(),
        ))
    }

    async fn find(&self, id: &str) -> Result<Option<Volume>> {
        Ok(self
            .list()
            .await?
            .into_iter()
            .find(|volume| volume.id == id))
    }

    async fn drop_bricks(&self, id: &str) -> Result<()> {
        for node in &self.nodes {
            let request = api::DropBrickRequest {
                name: id.to_owned(),
            };
            node.agent
                .clone()
                .drop_brick(request)
                .await
                .map_err(|error| of(node, error))?;
        }
        Ok(())
    }

    async fn bring_up(&self, id: &str, size_bytes: u64, parameters: &Parameters) -> Result<()> {
        let bricks = self.make_bricks(id, size_bytes, parameters).await?;
        let mut options: HashMap<_, _> = parameters.options.clone().into_iter().collect();
        options.insert(SIZE_OPTION.to_owned(), size_bytes.to_string());
        // The bricks' size is the limit: gluster keeps nothing of it back.
        options.insert("storage.reserve".to_owned(), "0".to_owned());
        let request = api::EnsureVolumeRequest {
            name: id.to_owned(),
            bricks,
            replica: parameters.replica,
            options,
        };
        let node = self.any().await?;
        node.agent
            .clone()
            .ensure_volume(request)
            .await
            .map_err(|error| of(node, error))?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Provisioner for Image {
    async fn create(&self, id: &str, size_bytes: u64, parameters: &Parameters) -> Result<Volume> {
        let there = self.find(id).await?.map(|volume| volume.size_bytes);
        if there.is_none_or(|there| there == size_bytes) {
            self.bring_up(id, size_bytes, parameters).await?;
        }
        let made = self.find(id).await?;
        made.ok_or_else(|| {
            Error::Unavailable(format!(
                "volume {id} was made, and is gone again: ask again"
            ))
        })
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let node = self.any().await?;
        let request = api::DropVolumeRequest {
            name: id.to_owned(),
        };
        node.agent
            .clone()
            .drop_volume(request)
            .await
            .map_err(|error| of(node, error))?;
        self.drop_bricks(id).await
    }

    async fn expand(&self, id: &str, size_bytes: u64) -> Result<Volume> {
        let volume = self
            .find(id)
            .await?
            .ok_or_else(|| Error::NotFound(format!("there is no volume {id}")))?;
        if volume.size_bytes >= size_bytes {
            return Ok(volume);
        }
        for node in self
            .nodes
            .iter()
            .filter(|node| volume.servers.contains(&node.host))
        {
            let request = api::EnsureBrickRequest {
                name: id.to_owned(),
                size_bytes,
                gid: 0,
            };
            node.agent
                .clone()
                .ensure_brick(request)
                .await
                .map_err(|error| of(node, error))?;
        }
        let options = HashMap::from([(SIZE_OPTION.to_owned(), size_bytes.to_string())]);
        let node = self.any().await?;
        let request = api::SetOptionsRequest {
            name: id.to_owned(),
            options,
        };
        node.agent
            .clone()
            .set_options(request)
            .await
            .map_err(|error| of(node, error))?;
        Ok(Volume {
            size_bytes,
            ..volume
        })
    }

    async fn list(&self) -> Result<Vec<Volume>> {
        let node = self.any().await?;
        let answer = node
            .agent
            .clone()
            .list_volumes(api::ListVolumesRequest {})
            .await
            .map_err(|error| of(node, error))?;
        let mut volumes: Vec<Volume> = answer
            .into_inner()
            .volumes
            .iter()
            .filter_map(ours)
            .collect();
        volumes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(volumes)
    }

    async fn capacity(&self, parameters: &Parameters) -> Result<u64> {
        let seen = self.look("").await?;
        let last = (parameters.replica as usize)
            .checked_sub(1)
            .and_then(|last| seen.get(last));
        let left = last.map_or(0, Seen::left_bytes);
        Ok(left.saturating_sub(bricks::image_bytes(left) - left))
    }
}

fn ours(volume: &api::Volume) -> Option<Volume> {
    let size_bytes = volume.options.get(SIZE_OPTION)?.parse().ok()?;
    let hosts = volume
        .bricks
        .iter()
        .filter_map(|brick| Some(brick.split_once(":/")?.0.to_owned()));
    let servers: BTreeSet<String> = hosts.collect();
    Some(Volume {
        id: volume.name.clone(),
        size_bytes,
        servers: servers.into_iter().collect(),
    })
}

fn of(node: &Node, status: tonic::Status) -> Error {
    let text = format!("{}: {}", node.host, status.message());
    Error::from(tonic::Status::new(status.code(), text))
}
