//! Who owns a market: written by its owner while he lives, read by whoever routes to him.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use muster_engine::id::MarketId;
use redis::Script;

use super::keys::Keys;
use super::link::{Link, LinkError};
use crate::config::RedisConfig;

const PURPOSE: &str = "owners";
/// An owner says so this often within the time that his word is good for.
const CLAIMS_PER_TTL: u32 = 3;

/// A claim holds unless somebody of a newer epoch made one; answers the owner's epoch and address.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') \
         if epoch <= tonumber(ARGV[1]) then \
           redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'address', ARGV[2], 'process', ARGV[3]) \
           redis.call('PEXPIRE', KEYS[1], ARGV[4]) \
         end \
         return {redis.call('HGET', KEYS[1], 'epoch'), redis.call('HGET', KEYS[1], 'address')}",
    )
});

/// Takes back one's own claim, not that of a successor.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then \
           return redis.call('DEL', KEYS[1]) \
         end \
         return 0",
    )
});

/// Who owns a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketOwner {
    /// His epoch in the store: the greater one is the newer owner.
    pub epoch: u64,
    /// How to reach him.
    pub address: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It stands.
    Owned,
    /// A newer process owns the market.
    Superseded(MarketOwner),
}

/// The claims of this process.
pub struct Owners {
    link: Arc<Link>,
    keys: Keys,
    own: MarketOwner,
    ttl: Duration,
}

impl Owners {
    /// Claims by a process of this `epoch` that is reached at `address`.
    pub fn new(config: &RedisConfig, link: Arc<Link>, epoch: u64, address: String) -> Self {
        Self {
            link,
            keys: Keys::new(config.prefix.clone()),
            own: MarketOwner { epoch, address },
            ttl: Duration::from_secs(config.owner_ttl_s),
        }
    }

    /// Claims the markets again and again until the process ends.
    pub async fn run(&self, markets: &[MarketId]) {
        let mut superseded = false;
        loop {
            for market in markets {
                match self.claim(market).await {
                    Ok(Standing::Owned) => {}
                    Ok(Standing::Superseded(by)) if !superseded => {
                        let (epoch, address) = (by.epoch, by.address);
                        tracing::error!(%market, epoch, address, "a newer process owns the market");
                        superseded = true;
                    }
                    Ok(Standing::Superseded(_)) | Err(LinkError::Resting) => {}
                    Err(error) => tracing::warn!(%market, %error, "ownership was not told"),
                }
            }
            tokio::time::sleep(self.ttl / CLAIMS_PER_TTL).await;
        }
    }

    /// Says that this process owns `market`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn claim(&self, market: &MarketId) -> Result<Standing, LinkError> {
        let mut claim = CLAIM.key(self.keys.owner(market));
        claim.arg(self.own.epoch).arg(&self.own.address).arg(std::process::id());
        claim.arg(self.ttl.as_millis() as u64);
        let (epoch, address): (u64, String) = self.link.script(PURPOSE, &claim).await?;
        let owned = epoch == self.own.epoch;
        Ok(if owned {
            Standing::Owned
        } else {
            Standing::Superseded(MarketOwner { epoch, address })
        })
    }

    /// Takes the claims back: at the end of a drain.
    pub async fn release(&self, markets: &[MarketId]) {
        for market in markets {
            let mut release = RELEASE.key(self.keys.owner(market));
            release.arg(self.own.epoch);
            if let Err(error) = self.link.script::<u64>(PURPOSE, &release).await {
                tracing::info!(%market, %error, "ownership runs out by itself");
            }
        }
    }
}
