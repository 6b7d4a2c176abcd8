//! The door on NATS: signed requests about policies and cases and their answers in a key-value bucket, bundles in an object store.
//!
//! | key or object | what |
//! |---|---|
//! | `request.ID` | a signed statement; taken away once it is answered |
//! | `answer.ID` | what became of it |
//! | `in_force` | the pointer: what the node decides by, written by the node alone |
//! | object `DIGEST` | a bundle's canonical bytes, or an impact report |
//!
//! Whoever may write to the bucket may ask; only a signature of somebody in people.toml is heard.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::kv::{self, Operation};
use async_nats::jetstream::object_store::{self, ObjectStore};
use bytes::Bytes;
use domain::Digest;
use futures::StreamExt;
use policies::registry::{Registry, Share, Signed};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{NatsServer, failed};
use crate::bus::Error;
use crate::registry;
use crate::requests::{Answer, REQUEST_BYTES_MAX, Request};

/// Room in the bucket and in the object store: thousands of requests, a hundred bundles.
const BUCKET_BYTES: i64 = 64 << 20;
const STORE_BYTES: i64 = 256 << 20;
/// How long a broken watch waits before it is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is in force, for everybody who may read the bucket. Written when it changes and when a node starts; what somebody
/// read may be older than what holds, so nothing rests on it but what people look at before they sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Identity of the ledger; statements name it.
    pub ledger: String,
    pub bundle: Digest,
    /// What a roll-back would put back.
    pub before: Option<Digest>,
    pub canary: Option<Share>,
}

impl Pointer {
    /// What a ledger's registry says; `None` before its first run.
    pub fn of(ledger: &str, registry: &Registry) -> Option<Pointer> {
        Some(Pointer {
            ledger: ledger.to_owned(),
            bundle: registry.in_force()?,
            before: registry.before(),
            canary: registry.canary().map(|canary| canary.of),
        })
    }
}

/// What was heard about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub id: String,
    /// The signed statement; none when it was taken away, by whoever asked or because it was answered.
    pub said: Option<Bytes>,
}

/// Bucket and object store of one prefix.
#[derive(Clone)]
pub struct Door {
    bucket: kv::Store,
    bundles: ObjectStore,
}

impl NatsServer {
    /// The door, when a node has made one.
    pub async fn door(&self) -> Option<Door> {
        let bucket = self.context.get_key_value(self.stream_name("POLICIES")).await.ok()?;
        let bundles = self.context.get_object_store(&self.stream_name("BUNDLES")).await.ok()?;
        Some(Door { bucket, bundles })
    }

    /// The door, made where it is missing.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn make_door(&self) -> Result<Door, Error> {
        if let Some(door) = self.door().await {
            return Ok(door);
        }
        let bucket = kv::Config {
            bucket: self.stream_name("POLICIES"),
            description: "Signed requests to the registry of policies, and its answers".to_owned(),
            max_bytes: BUCKET_BYTES,
            ..kv::Config::default()
        };
        let bucket = self.context.create_key_value(bucket).await.map_err(failed("create a bucket"))?;
        let bundles = object_store::Config {
            bucket: self.stream_name("BUNDLES"),
            description: Some("Policies by their digest".to_owned()),
            max_bytes: STORE_BYTES,
            ..object_store::Config::default()
        };
        let bundles = self.context.create_object_store(bundles).await;
        Ok(Door { bucket, bundles: bundles.map_err(failed("create an object store"))? })
    }
}

/// The node's side.
impl Door {
    /// Says what is in force, and keeps its bundle where services can fetch it.
    ///
    /// # Errors
    /// When the server does not store it.
    pub async fn announce(&self, pointer: &Pointer, canonical: &[u8]) -> Result<(), Error> {
        if self.bundles.info(pointer.bundle.to_string()).await.is_err() {
            self.put(pointer.bundle, canonical).await?;
        }
        let bytes = serde_json::to_vec(pointer).unwrap_or_default();
        self.bucket.put("in_force", bytes.into()).await.map_err(failed("write the pointer"))?;
        Ok(())
    }

    /// Passes on every request that waits or arrives, until told to stop.
    pub async fn listen(self, tell: mpsc::Sender<Heard>, stop: CancellationToken) {
        let listening = async {
            loop {
                if let Err(error) = self.pass_on(&tell).await {
                    tracing::warn!(%error, "requests to the registry are not heard over NATS; trying again");
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        tokio::select! {
            () = listening => {}
            () = stop.cancelled() => {}
        }
    }

    async fn pass_on(&self, tell: &mpsc::Sender<Heard>) -> Result<(), Error> {
        let watch = self.bucket.watch_with_history("request.*").await;
        let mut watch = watch.map_err(failed("watch the bucket"))?;
        // At most what the bucket holds.
        let mut passed_on = BTreeSet::new();
        while let Some(entry) = watch.next().await {
            let entry = entry.map_err(failed("watch the bucket"))?;
            let Some(id) = entry.key.strip_prefix("request.") else { continue };
            let said = match entry.operation {
                Operation::Put => {
                    passed_on.insert(id.to_owned());
                    Some(entry.value)
                }
                // The bucket remembers for ever what was taken away.
                Operation::Delete | Operation::Purge if passed_on.remove(id) => None,
                Operation::Delete | Operation::Purge => continue,
            };
            if tell.send(Heard { id: id.to_owned(), said }).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A statement with what it names.
    ///
    /// # Errors
    /// When that is too large or not in the store.
    pub async fn complete(&self, signed: Signed) -> Result<registry::Request, Error> {
        let (attachment, tests) = (signed.statement.step.attachment(), signed.statement.step.tests());
        Ok(registry::Request {
            attachment: self.named(attachment).await?,
            tests: self.named(tests).await?,
            signed,
        })
    }

    async fn named(&self, digest: Option<Digest>) -> Result<Option<String>, Error> {
        match digest {
            Some(digest) => self.object(digest).await.map(Some),
            None => Ok(None),
        }
    }

    async fn object(&self, digest: Digest) -> Result<String, Error> {
        let object = self.bundles.get(digest.to_string()).await;
        let object = object.map_err(failed("find it in the object store"))?;
        if object.info().size as u64 > REQUEST_BYTES_MAX {
            let why = format!("it is larger than {REQUEST_BYTES_MAX} bytes");
            return Err(Error::Failed { what: "fetch from the object store", why });
        }
        let mut text = String::new();
        let mut limited = object.take(REQUEST_BYTES_MAX);
        limited.read_to_string(&mut text).await.map_err(failed("fetch from the object store"))?;
        Ok(text)
    }

    /// Writes the answer and takes the request away. A second answer to one id is not written.
    ///
    /// # Errors
    /// When the server does not store it.
    pub async fn answer(&self, id: &str, answer: &Answer) -> Result<(), Error> {
        let bytes = serde_json::to_vec(answer).unwrap_or_default();
        let _answered_before = self.bucket.create(format!("answer.{id}"), bytes.into()).await;
        self.bucket.purge(format!("request.{id}")).await.map_err(failed("take a request away"))
    }
}

/// The side of whoever asks.
impl Door {
    /// What the node under this prefix decides by; `None` where none ever ran.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn pointer(&self) -> Result<Option<Pointer>, Error> {
        let value = self.bucket.get("in_force").await.map_err(failed("read the pointer"))?;
        value.map(|bytes| serde_json::from_slice(&bytes).map_err(failed("read the pointer"))).transpose()
    }

    /// Puts a request to the node and waits for its answer; `None` when there is none in time, and then the request
    /// is withdrawn.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn ask(&self, request: &Request, within: Duration) -> Result<Option<Answer>, Error> {
        let Some(bytes) = request.on_the_wire() else {
            let why = "it is made beside the ledger only".to_owned();
            return Err(Error::Failed { what: "send the request", why });
        };
        for (digest, text) in request.attachments() {
            // Whatever lies there under this name: the node compares what it fetches with the digest.
            self.put(digest, text.as_bytes()).await?;
        }
        let id = request.id();
        let watch = self.bucket.watch_with_history(format!("answer.{id}")).await;
        let mut watch = watch.map_err(failed("watch the bucket"))?;
        let key = format!("request.{id}");
        self.bucket.put(&key, bytes.into()).await.map_err(failed("write the request"))?;
        match tokio::time::timeout(within, watch.next()).await {
            Ok(Some(entry)) => {
                let entry = entry.map_err(failed("watch the bucket"))?;
                Ok(Some(serde_json::from_slice(&entry.value).map_err(failed("read the answer"))?))
            }
            Ok(None) | Err(_) => {
                self.bucket.purge(&key).await.map_err(failed("withdraw the request"))?;
                Ok(None)
            }
        }
    }

    async fn put(&self, digest: Digest, mut canonical: &[u8]) -> Result<(), Error> {
        let stored = self.bundles.put(digest.to_string().as_str(), &mut canonical).await;
        stored.map(|_| ()).map_err(failed("store it in the object store"))
    }
}
