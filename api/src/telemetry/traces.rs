//! Traces over OTLP: spans of requests and of the work beneath them, sent to a collector in the
//! background. Off, there is no [`Traces`], and nothing is paid.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::Tracer;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData,
    SpanProcessor,
};

use super::metrics::Metrics;
use super::traceparent;
use crate::config::TelemetryConfig;
use crate::version;

/// Where collectors take traces.
const TRACES_PATH: &str = "/v1/traces";
/// Spans that may wait to be sent; more are dropped, and show as ended but never sent or failed.
const SPANS_WAITING_MAX: usize = 8_192;
/// Spans of one request to the collector.
const SPANS_PER_EXPORT_MAX: usize = 512;
/// How long a span waits at most before it is sent.
const EXPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take, and the last spans at the end of the process.
const EXPORT_WITHIN: Duration = Duration::from_secs(3);

/// The tracer of the process.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A stretch of work within a trace; over when dropped.
#[derive(Debug)]
pub struct TraceSpan {
    span: Span,
}

impl Traces {
    /// Begins to send traces where the configuration names a collector.
    ///
    /// # Errors
    /// A sentence that says why the exporter cannot be set up.
    pub fn start(
        config: &TelemetryConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, String> {
        if !config.is_on() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{TRACES_PATH}", config.otlp_endpoint))
            .with_timeout(EXPORT_WITHIN)
            .build()
            .map_err(|error| format!("telemetry.otlp_endpoint: {error}"))?;
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_WAITING_MAX)
            .with_max_export_batch_size(SPANS_PER_EXPORT_MAX)
            .with_scheduled_delay(EXPORT_EVERY)
            .build();
        let counted = CountedExporter { exporter, metrics: Arc::clone(metrics) };
        let sender = BatchSpanProcessor::builder(counted).with_batch_config(batch).build();
        let roots = Sampler::TraceIdRatioBased(config.sample_ratio);
        let resource = Resource::builder()
            .with_service_name("muster")
            .with_attribute(KeyValue::new("service.version", version::VERSION))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(roots)))
            .with_resource(resource)
            .with_span_processor(CountedSpans { sender, metrics: Arc::clone(metrics) })
            .build();
        let tracer = provider.tracer("muster");
        Ok(Some(Arc::new(Self { provider, tracer })))
    }

    /// Begins the span of a request from outside: beneath its `traceparent`, which then decides
    /// whether the trace is kept, or as a trace of its own.
    pub fn request(&self, method: &str, parent: Option<SpanContext>) -> TraceSpan {
        let parent = parent.map_or_else(Context::new, under);
        let builder = self
            .tracer
            .span_builder(method.to_owned())
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.request.method", method.to_owned())]);
        TraceSpan { span: builder.start_with_context(&self.tracer, &parent) }
    }

    /// Begins the span of what the platform is told of a transition, beneath the commit that `parent`
    /// names; nothing beneath a trace that is not kept.
    pub(crate) fn publication(&self, parent: &str) -> Option<TraceSpan> {
        let parent = kept(parent)?;
        let builder = self
            .tracer
            .span_builder("publish")
            .with_kind(SpanKind::Producer)
            .with_attributes([KeyValue::new("messaging.system", "kafka")]);
        Some(TraceSpan { span: builder.start_with_context(&self.tracer, &parent) })
    }

    /// Sends what waits, and ends. Blocks for seconds at most.
    pub fn finish(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(EXPORT_WITHIN) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

impl Tracer for Traces {
    fn begin(
        &self,
        actor: &'static str,
        step: &'static str,
        parent: &str,
    ) -> Option<Box<dyn muster_actors::Span>> {
        let parent = kept(parent)?;
        let builder = self.tracer.span_builder(format!("{actor} {step}"));
        let span = builder.start_with_context(&self.tracer, &parent);
        Some(Box::new(TraceSpan { span }))
    }
}

impl muster_actors::Span for TraceSpan {
    fn traceparent(&self) -> String {
        self.traceparent()
    }

    fn fail(&mut self, why: &str) {
        self.fail(why);
    }
}

/// What is beneath a trace that is kept.
fn kept(traceparent: &str) -> Option<Context> {
    traceparent::parse(traceparent).filter(SpanContext::is_sampled).map(under)
}

fn under(parent: SpanContext) -> Context {
    Context::new().with_remote_span_context(parent)
}

impl TraceSpan {
    /// What work beneath it is told.
    pub fn traceparent(&self) -> String {
        traceparent::of(self.span.span_context())
    }

    /// Whether it is sent to the collector.
    pub(crate) fn is_kept(&self) -> bool {
        self.span.is_recording()
    }

    /// It did not do what it was for.
    pub(crate) fn fail(&mut self, why: &str) {
        self.span.set_status(Status::error(why.to_owned()));
    }

    /// Ends the span of a request.
    pub fn answered(mut self, method: &str, route: &str, status: u16, correlation_id: &str) {
        if !self.is_kept() {
            return;
        }
        self.span.update_name(format!("{method} {route}"));
        self.span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        let correlation = KeyValue::new("muster.correlation_id", correlation_id.to_owned());
        self.span.set_attribute(correlation);
        if status >= 500 {
            self.span.set_status(Status::error(status.to_string()));
        }
        self.span.end();
    }
}

/// Counts the spans that end.
#[derive(Debug)]
struct CountedSpans {
    sender: BatchSpanProcessor,
    metrics: Arc<Metrics>,
}

impl SpanProcessor for CountedSpans {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.sender.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.metrics.spans("ended", 1);
        self.sender.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.sender.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.sender.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(resource);
    }
}

/// Counts the spans that reach the collector, and those that do not.
struct CountedExporter {
    exporter: SpanExporter,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for CountedExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(f)
    }
}

impl opentelemetry_sdk::trace::SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => self.metrics.spans("sent", spans),
            Err(error) => {
                self.metrics.spans("failed", spans);
                tracing::warn!(%error, spans, "spans were not sent");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
