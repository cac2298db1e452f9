//! A `muster serve` of one's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test, without any configuration of the machine it runs on.
pub(crate) fn muster(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.current_dir(folder);
    command
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Server {
    /// Starts a server on the data in `folder` and waits until it is ready.
    pub(crate) async fn start(folder: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = muster(folder);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
        command.envs(env.iter().copied()).stderr(Stdio::null());
        Self::ready(command).await
    }

    /// Starts a server on the data in `folder` with more arguments.
    pub(crate) async fn start_with(folder: &Path, args: &[&str]) -> Self {
        let mut command = muster(folder);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data", "data"]).args(args);
        command.stderr(Stdio::null());
        Self::ready(command).await
    }

    /// Starts a server on `config.toml` in `folder`, with what it logs in the file `log`.
    pub(crate) async fn start_on_file(folder: &Path) -> Self {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = muster(folder);
        command.args(["serve", "--config", "config.toml", "--listen", "127.0.0.1:0"]);
        command.args(["--data", "data"]).stderr(log);
        Self::ready(command).await
    }

    async fn ready(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first_line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first_line).unwrap();
        let url = first_line.trim().strip_prefix("listening on ").expect(&first_line).to_owned();
        // The server ends idle connections after five seconds: a request must not meet that moment.
        let http = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(1));
        let server = Self { child, url, http: http.build().unwrap() };
        server.until("/readyz", |status, _| status == 200).await;
        server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn socket_url(&self, driver: &str, query: &str) -> String {
        let host = self.url.strip_prefix("http://").unwrap();
        format!("ws://{host}/v1/drivers/{driver}/stream{query}")
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.http.put(format!("{}{path}", self.url)).json(&body).send();
        let response = response.await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn put_driver(&self, driver: &str) {
        let body =
            json!({"market": "nyc", "service_tiers": ["standard"], "vehicle": {"plate": "X"}});
        let request = self.http.put(format!("{}/v1/drivers/{driver}", self.url)).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    /// Asks until `holds` of the answer.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (status, body) = self.get(path).await;
            if holds(status, &body) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "{path} stays {status} {body}");
            tokio::task::yield_now().await;
        }
    }

    /// The sum of a metric's values over its labels, 0 when there are none yet.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, body) = self.get("/metrics").await;
        let text = body.as_str().unwrap().to_owned();
        let lines = text.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already when a test ended it.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
