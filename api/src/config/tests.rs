use std::io::Write;

use muster_engine::policy::DispatchPolicy;

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn error_of(text: &str) -> String {
    let file = file(text);
    match Config::load(Some(file.path())).and_then(|config| config.dispatch().map(drop)) {
        Ok(()) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_shipped_file_holds_exactly_the_keys_of_the_code() {
    let config: Config = Figment::from(Toml::string(DEFAULT_CONFIG)).extract().unwrap();
    // No key has a default in code but the market's overrides, so a key missing from the file fails
    // above, and deny_unknown_fields refuses one too many. What remains is the policy's own default.
    assert_eq!(config.policy, DispatchPolicy::default());
}

#[test]
fn the_shipped_markets_are_nyc_and_sf_with_standard_as_default() {
    let dispatch = Config::load(None).unwrap().dispatch().unwrap();
    let markets: Vec<_> = dispatch.markets.iter().map(|m| m.id().to_string()).collect();
    assert_eq!(markets, ["nyc", "sf"]);
    for market in dispatch.markets.iter() {
        assert_eq!(market.tiers()[usize::from(market.default_tier())].as_str(), "standard");
    }
}

#[test]
fn a_file_changes_only_the_keys_it_names() {
    let file = file("[clock]\nspeed = 20.0\n[markets.nyc.policy]\nwave_size = 7\n");
    let config = Config::load(Some(file.path())).unwrap();
    assert!((config.clock.speed - 20.0).abs() < f64::EPSILON);
    let dispatch = config.dispatch().unwrap();
    let sizes: Vec<u32> = dispatch.policies.values().map(|book| book.base().wave_size).collect();
    assert_eq!(sizes, [7, 3]);
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_file() {
    let error = error_of("[server]\nlisten_on = \"127.0.0.1:1\"\n");
    assert!(error.contains("listen_on") && error.contains(".toml"), "{error}");
    let error = error_of("[markets.nyc.policy]\nwave_sise = 7\n");
    assert!(error.contains("wave_sise") && error.contains("markets.nyc.policy"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_key_and_value() {
    let error = error_of("[clock]\nspeed = \"fast\"\n");
    assert!(error.contains("clock.speed") && error.contains("fast"), "{error}");
}

#[test]
fn a_value_out_of_range_is_refused_with_what_is_allowed() {
    let error = error_of("[clock]\nspeed = 0.0\n");
    assert!(error.contains("clock.speed is 0, allowed is 0.1..=1000"), "{error}");
    let error = error_of("[policy]\nwave_size = 0\n");
    assert!(error.contains("policy.wave_size") && error.contains("1..=100"), "{error}");
}

#[test]
fn a_collector_is_named_by_host_and_port() {
    for endpoint in ["localhost:4318", "https://localhost:4318", "http://localhost", "http://:1"] {
        let error = error_of(&format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n"));
        let named = format!("telemetry.otlp_endpoint is {endpoint}, allowed is http://host:port");
        assert!(error.contains(&named), "{error}");
    }
    let error = error_of("[telemetry]\nsample_ratio = 1.5\n");
    assert!(error.contains("telemetry.sample_ratio is 1.5, allowed is 0..=1"), "{error}");
    let set = file("[telemetry]\notlp_endpoint = \"http://localhost:4318\"\nsample_ratio = 1.0\n");
    assert!(Config::load(Some(set.path())).unwrap().telemetry.is_on());
    assert!(!Config::load(None).unwrap().telemetry.is_on());
}

#[test]
fn the_relay_s_keys_count_once_there_is_a_broker() {
    let keys = "[kafka.relay]\nin_flight_max = 1\n";
    let file = file(keys);
    assert!(Config::load(Some(file.path())).is_ok());
    let error = error_of(&format!("[kafka]\nbrokers = \"kafka:9092\"\n{keys}"));
    assert!(error.contains("kafka.relay.in_flight_max is 1, allowed is 100..=1000000"), "{error}");
    let error = error_of("[kafka.relay]\nstart = \"newest\"\n");
    assert!(error.contains("kafka.relay.start") && error.contains("newest"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/no/such/muster.toml"))).unwrap_err();
    assert!(error.to_string().contains("/no/such/muster.toml"), "{error}");
}

#[test]
fn a_values_file_is_loaded_and_what_is_wrong_with_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        "muster-values,resolution=8,bucket_s=3600,discount_permille=530,utc_offset_min=-300";
    let row = "882a100d63fffff,16:00,1234.5";
    let load = |text: &str| {
        std::fs::write(folder.path().join("values.csv"), text).unwrap();
        let file = folder.path().join("muster.toml");
        std::fs::write(&file, "[markets.nyc]\nvalues = \"values.csv\"\n").unwrap();
        Config::load(Some(&file)).and_then(|config| config.dispatch())
    };
    let dispatch = load(&format!("{settings}\ncell,time,value_s\n{row}\n")).unwrap();
    let of = |id| dispatch.markets.iter().find(|market| market.id().as_str() == id).unwrap();
    assert_eq!(of("nyc").values().map(|values| values.places()), Some(1));
    assert!(of("sf").values().is_none());
    let error = load(&format!("{settings}\ncell,time,value_s\n{row}\n{row}0x\n")).unwrap_err();
    let text = error.to_string();
    let named = ["markets.nyc.values", "values.csv", "line 4: value_s \"1234.50x\"", "0..=86400"];
    assert!(named.iter().all(|part| text.contains(part)), "{text}");
    assert!(matches!(load_missing(), Err(ConfigError::File { .. })));
}

fn load_missing() -> Result<(), ConfigError> {
    let file = file("[markets.nyc]\nvalues = \"no-such-values.csv\"\n");
    Config::load(Some(file.path())).and_then(|config| config.dispatch()).map(drop)
}
