//! `[queue]`.

use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use queue::{Queue, QueueError};
use queue_kafka::{Compression, KafkaConfig, KafkaQueue, Mechanism, Sasl, Tls};
use queue_redis::{Durability, RedisConfig, RedisQueue};

use super::{in_data_dir, patiently};
use crate::config::Settings;
use crate::config::secret::Secret;
use crate::config::settings::QueueBackend;
use crate::config::settings::queue::{KafkaCompression, KafkaSasl, RedisDurability};

/// A message holds a request's records as OTLP, which can be larger than the JSON that they came in.
const MESSAGE_PER_BODY: usize = 2;

/// # Errors
/// What waiting does not mend.
pub async fn open_queue(settings: &Settings, registry: &mut Registry) -> anyhow::Result<Arc<dyn Queue>> {
    let out_of_reach = |error: &QueueError| matches!(error, QueueError::Unavailable { .. });
    match settings.queue.backend {
        QueueBackend::Embedded => {
            let metrics = queue::metrics::Metrics::default();
            metrics.register(registry);
            let queue = EmbeddedQueue::open(embedded(settings), metrics).with_context(|| in_data_dir(settings))?;
            Ok(Arc::new(queue))
        }
        QueueBackend::Kafka => {
            let metrics = queue_kafka::Metrics::default();
            metrics.register(registry);
            let open = || KafkaQueue::open(kafka(settings), metrics.clone());
            Ok(Arc::new(patiently("Kafka (`queue.kafka`)", out_of_reach, open).await?))
        }
        QueueBackend::Redis => {
            let metrics = queue_redis::Metrics::default();
            metrics.register(registry);
            let open = || RedisQueue::open(redis(settings), metrics.clone());
            Ok(Arc::new(patiently("Redis (`queue.redis`)", out_of_reach, open).await?))
        }
    }
}

fn message_bytes_max(settings: &Settings) -> usize {
    settings.collector.decoded_max.bytes().saturating_mul(MESSAGE_PER_BODY)
}

fn embedded(settings: &Settings) -> EmbeddedConfig {
    let queue = &settings.queue.embedded;
    EmbeddedConfig {
        dir: settings.data_dir.join("queue"),
        partitions: queue.partitions,
        segment_bytes: queue.segment.0,
        retention_bytes: queue.retention_size.0,
        retention_age: Some(queue.retention_age.0),
        disk_free_min_bytes: queue.disk_free_min.0,
        message_bytes_max: message_bytes_max(settings),
        ..EmbeddedConfig::default()
    }
}

fn kafka(settings: &Settings) -> KafkaConfig {
    let kafka = settings.queue.kafka.clone();
    let tls = Tls { ca: kafka.ca, cert: kafka.cert, cert_key: kafka.cert_key };
    let mechanism = kafka.sasl_mechanism.map(|mechanism| match mechanism {
        KafkaSasl::Plain => Mechanism::Plain,
        KafkaSasl::ScramSha256 => Mechanism::ScramSha256,
        KafkaSasl::ScramSha512 => Mechanism::ScramSha512,
    });
    let password = kafka.sasl_password.as_ref().map_or("", Secret::reveal);
    let request = message_bytes_max(settings);
    KafkaConfig {
        brokers: kafka.brokers,
        letters_topic: kafka.dead_letters_topic.then(|| format!("{}_dead_letters", kafka.topic)),
        topic: kafka.topic,
        partitions: kafka.partitions,
        replication: kafka.replication,
        retention_age: kafka.retention_age.0,
        accept_topic_settings: kafka.accept_topic_settings,
        compression: match kafka.compression {
            KafkaCompression::None => Compression::None,
            KafkaCompression::Lz4 => Compression::Lz4,
            KafkaCompression::Zstd => Compression::Zstd,
        },
        delivery_timeout: kafka.delivery_timeout.0,
        foreign_project: kafka.foreign_project,
        group_prefix: kafka.group_prefix,
        watched_group: pipeline::Config::default().group,
        session_timeout: kafka.session_timeout.0,
        message_bytes_max: kafka.message_max.map_or(request, |size| size.bytes().min(request)),
        tls: kafka.tls.then_some(tls),
        sasl: mechanism.map(|mechanism| Sasl {
            mechanism,
            user: kafka.sasl_user.unwrap_or_default(),
            password: password.to_owned(),
        }),
        ..KafkaConfig::default()
    }
}

fn redis(settings: &Settings) -> RedisConfig {
    let redis = settings.queue.redis.clone();
    RedisConfig {
        url: redis.url.reveal().to_owned(),
        tls_ca: redis.ca,
        tls_certificate: redis.cert,
        tls_key: redis.cert_key,
        prefix: redis.prefix,
        partitions: redis.partitions,
        durability: match redis.durability {
            RedisDurability::Always => Durability::Always,
            RedisDurability::AlwaysStated => Durability::AlwaysStated,
            RedisDurability::Everysec => Durability::Everysec,
        },
        retention_bytes: redis.retention_size.0,
        retention_age: Some(redis.retention_age.0),
        message_bytes_max: message_bytes_max(settings),
        lease: redis.lease.0,
        ..RedisConfig::default()
    }
}
