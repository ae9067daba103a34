//! What the bridge counts, and the small server that shows it to Prometheus.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::told::Refusal;

/// To send a request, and to take the answer.
const EXCHANGE: Duration = Duration::from_secs(2);
/// Of a request.
const HEAD_BYTES_MAX: usize = 4096;

/// The counts.
#[derive(Default)]
pub struct Metrics {
    /// 1 while there is a session with the hub.
    pub connected: AtomicU64,
    /// Sessions with the hub.
    pub sessions: AtomicU64,
    /// Events that the hub has acknowledged.
    pub events: AtomicU64,
    /// Batches of them.
    pub batches: AtomicU64,
    /// Gaps that were told.
    pub gaps: AtomicU64,
    /// Work that became a run.
    pub taken: AtomicU64,
    /// Work that can never run.
    pub refused: AtomicU64,
    /// Doubts about what the hub has, each cleared by looking there.
    pub doubts: AtomicU64,
    /// The id of the last event that the hub has.
    pub last_id: AtomicU64,
}

impl Metrics {
    /// Counts `n` more.
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// As Prometheus reads them.
    pub fn text(&self) -> String {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        text(&[
            ("connected", "gauge", get(&self.connected)),
            ("sessions", "counter", get(&self.sessions)),
            ("events", "counter", get(&self.events)),
            ("batches", "counter", get(&self.batches)),
            ("gaps", "counter", get(&self.gaps)),
            ("work_taken", "counter", get(&self.taken)),
            ("work_refused", "counter", get(&self.refused)),
            ("doubts", "counter", get(&self.doubts)),
            ("last_event_id", "gauge", get(&self.last_id)),
        ])
    }
}

/// Name, kind and value of each in the OpenMetrics text format.
pub fn text(named: &[(&str, &str, u64)]) -> String {
    let mut out = String::new();
    for (name, kind, value) in named {
        let total = if *kind == "counter" { "_total" } else { "" };
        let _ = write!(out, "# TYPE runabout_bridge_{name} {kind}\nrunabout_bridge_{name}{total} {value}\n");
    }
    out + "# EOF\n"
}

/// Answers every request with the counts, one at a time; it never returns but for an address that cannot be had.
///
/// # Errors
/// [`Refusal::Usage`] for that.
pub async fn serve(at: Option<SocketAddr>, text: &dyn Fn() -> String) -> Result<(), Refusal> {
    let Some(at) = at else { return std::future::pending().await };
    let listener = TcpListener::bind(at).await;
    let listener = listener.map_err(|error| Refusal::Usage(format!("--metrics {at}: {error}")))?;
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let _ = tokio::time::timeout(EXCHANGE, answer(&mut stream, text)).await;
            }
            // No more descriptors, or a client that has gone: neither is over by asking again at once.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn answer(stream: &mut tokio::net::TcpStream, text: &dyn Fn() -> String) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = text();
    let (status, body) = if head.starts_with(b"GET /metrics ") { ("200 OK", &*text) } else { ("404 Not Found", "") };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
