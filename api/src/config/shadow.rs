//! Shadow policies: per market in the configuration, and for all of them on the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use muster_engine::id::MarketId;
use muster_engine::policy::{PolicyBook, PolicyPatch};

use super::{Config, ConfigError};

impl Config {
    /// Puts `settings`, each `key=value` or a file of keys, over the shadow policy of every market.
    ///
    /// # Errors
    /// [`ConfigError`] names the settings or the file, the key and what is wrong with it.
    pub fn shadow_all(&mut self, settings: &[String]) -> Result<(), ConfigError> {
        if settings.is_empty() {
            return Ok(());
        }
        let mut keys = Figment::new();
        for setting in settings {
            keys = keys.merge(keys_of(setting)?);
        }
        for section in self.markets.values_mut() {
            let own = section.shadow.take().unwrap_or_default();
            let both = Figment::from(Serialized::defaults(own)).merge(&keys);
            let patch: PolicyPatch = both.extract().map_err(|error| refused(&error, settings))?;
            section.shadow = Some(patch);
        }
        Ok(())
    }

    /// The shadow policies by market, checked over the configured ones.
    ///
    /// # Errors
    /// [`ConfigError`] names market, key, value and what is allowed.
    pub fn shadows(
        &self,
        books: &BTreeMap<MarketId, Arc<PolicyBook>>,
    ) -> Result<BTreeMap<MarketId, PolicyPatch>, ConfigError> {
        let mut shadows = BTreeMap::new();
        for (market, book) in books {
            let section = self.markets.get(market.as_str());
            if let Some(patch) = section.and_then(|section| section.shadow.clone()) {
                let place = format!("{market}, shadow");
                book.shadowed(&patch).map_err(|error| self.book_refused(&place, &error))?;
                shadows.insert(market.clone(), patch);
            }
        }
        Ok(shadows)
    }
}

/// The keys of one `--shadow`.
fn keys_of(setting: &str) -> Result<Figment, ConfigError> {
    if let Some((key, value)) = setting.split_once('=') {
        // A word is a string: nobody quotes on a command line.
        let Ok(value) = value.trim().parse::<Value>();
        return Ok(Figment::from(Serialized::default(key.trim(), value)));
    }
    let read = |error| ConfigError::File { path: setting.to_owned(), error };
    std::fs::metadata(setting).map_err(read)?;
    Ok(Figment::from(Toml::file_exact(setting)))
}

fn refused(error: &figment::Error, settings: &[String]) -> ConfigError {
    let key = if error.path.is_empty() { "a key".to_owned() } else { error.path.join(".") };
    ConfigError::Value {
        origin: format!("--shadow {}", settings.join(" --shadow ")),
        key,
        value: format!("refused ({})", error.kind),
        allowed: "a key of [policy] with a value as it takes".to_owned(),
    }
}
