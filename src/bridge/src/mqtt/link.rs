//! One connection to a broker. What the protocol asks for is the library's affair (`mqtt-protocol-core`, which does no
//! I/O); here are the bytes, the timers and the limits around it.
//!
//! Every wait here may be dropped at any point without losing or halving a packet: what is to be sent stands in a buffer
//! until it was taken, and what was read until it was understood. A connection that ended is never used again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{Event, TimerKind};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait as _, Packet};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, MqttError, PubackReasonCode, SubackReasonCode, SubackReturnCode,
};
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::args::Protocol;
use super::broker::{Broker, Wire};
use super::packets::{self, packet_length};
use crate::publish::Doubt;
use crate::told::Refusal;

/// For the answer to a ping, to a connect, to a subscribe.
const ANSWER: Duration = Duration::from_secs(10);
/// What was read and is not yet understood.
const READ_BYTES: usize = 16 << 10;
/// Messages that arrived and wait to be looked at.
const ARRIVED_MAX: usize = 1_000;
/// Messages of ours that a broker has not acknowledged. It may want fewer.
const UNACKNOWLEDGED_MAX: usize = 16;

/// Who connects, and what is published when the connection is lost.
pub struct Hello<'a> {
    /// The same for the same box, so that a connection that is half dead is taken over and not left to say `offline` later.
    pub client_id: &'a str,
    /// Topic and payload, retained.
    pub will: Option<(&'a str, &'a str)>,
}

/// Something that came.
#[derive(Debug)]
pub enum Arrived {
    /// A message that was asked for.
    Message {
        /// Its topic.
        topic: String,
        /// What is in it.
        payload: Vec<u8>,
        /// It was kept by the broker, or is to be.
        is_retained: bool,
    },
    /// A message of ours has arrived, or its topic and why it never will.
    Acknowledged(u16, Option<String>),
}

/// What a subscription asks for.
pub struct Wanted {
    /// A filter of topics.
    pub filter: String,
    /// Also what the broker keeps, at once; with MQTT 3.1.1 always.
    pub and_retained: bool,
}

/// A connection.
pub struct Link {
    wire: Box<dyn Wire>,
    version: Version,
    protocol: Connection<role::Client>,
    unread: BytesMut,
    unsent: BytesMut,
    unflushed: bool,
    arrived: VecDeque<Arrived>,
    /// The answer to a connect or a subscribe, when it has come.
    answered: Option<Result<(), String>>,
    /// Numbers and topics of what is on its way.
    unacknowledged: HashMap<u16, String>,
    ping_at: Option<Instant>,
    pong_until: Option<Instant>,
    ended: Option<String>,
}

impl Link {
    /// Connects, with nothing left of an earlier connection.
    ///
    /// # Errors
    /// [`Refusal::Absent`] where nobody answers, [`Refusal::No`] where we are not let in.
    pub async fn open(broker: &Broker, protocol: Protocol, hello: &Hello<'_>) -> Result<Link, Refusal> {
        let version = if protocol == Protocol::V5 { Version::V5_0 } else { Version::V3_1_1 };
        let mut protocol = Connection::new(version);
        protocol.set_auto_pub_response(true);
        protocol.set_pingresp_recv_timeout(ANSWER.as_millis() as u64);
        let mut link = Link {
            wire: broker.reach().await?,
            version,
            protocol,
            unread: BytesMut::new(),
            unsent: BytesMut::new(),
            unflushed: false,
            arrived: VecDeque::new(),
            answered: None,
            unacknowledged: HashMap::new(),
            ping_at: None,
            pong_until: None,
            ended: None,
        };
        let connect = packets::connect(version, broker, hello);
        link.send(connect.map_err(|error| Refusal::Usage(format!("cannot say hello: {error}")))?);
        match link.answer().await {
            Ok(()) => Ok(link),
            Err(Doubt(why)) => Err(Refusal::No(format!("{}: {why}", broker.url))),
        }
    }

    /// Subscribes; messages come from [`Link::next`].
    ///
    /// # Errors
    /// The broker does not allow it, or is gone.
    pub async fn subscribe(&mut self, wanted: &[Wanted]) -> Result<(), Doubt> {
        let id = self.protocol.acquire_packet_id().map_err(doubt)?;
        let packet = packets::subscribe(self.version, id, wanted).map_err(doubt)?;
        self.send(packet);
        self.answer().await
    }

    /// Publishes; gives the number under which [`Arrived::Acknowledged`] will tell of it. Where too many are on their way it
    /// waits for one to arrive. `expiry_s` is for brokers and readers that are away; MQTT 3.1.1 does not know it.
    ///
    /// # Errors
    /// The broker is gone.
    pub async fn publish(&mut self, topic: &str, payload: &[u8], retain: bool, expiry_s: u32) -> Result<u16, Doubt> {
        let until = Instant::now() + ANSWER;
        while self.unacknowledged.len() >= UNACKNOWLEDGED_MAX
            || self.protocol.get_receive_maximum_vacancy_for_send() == Some(0)
        {
            match tokio::time::timeout_at(until, self.turn()).await {
                Ok(done) => done?,
                Err(_) => return Err(Doubt("the broker acknowledges nothing".to_owned())),
            }
        }
        let id = self.protocol.acquire_packet_id().map_err(doubt)?;
        let packet = packets::publish(self.version, id, topic, payload, retain, expiry_s).map_err(doubt)?;
        self.unacknowledged.insert(id, topic.to_owned());
        self.send(packet);
        self.flush().await?;
        Ok(id)
    }

    /// What comes next.
    ///
    /// # Errors
    /// The broker is gone.
    pub async fn next(&mut self) -> Result<Arrived, Doubt> {
        loop {
            if let Some(arrived) = self.arrived.pop_front() {
                return Ok(arrived);
            }
            self.turn().await?;
        }
    }

    /// Waits until the broker has all that was published, and leaves in good order: there is no last will then.
    ///
    /// # Errors
    /// The broker is gone.
    pub async fn leave(mut self) -> Result<(), Doubt> {
        while !self.unacknowledged.is_empty() {
            self.turn().await?;
        }
        let packet = packets::disconnect(self.version).map_err(doubt)?;
        self.send(packet);
        // The library asks for the connection's end behind it, which is no error here.
        self.ended = None;
        self.flush().await?;
        self.wire.shutdown().await.map_err(|error| Doubt(error.to_string()))
    }

    async fn answer(&mut self) -> Result<(), Doubt> {
        let until = Instant::now() + ANSWER;
        loop {
            if let Some(answer) = self.answered.take() {
                return answer.map_err(Doubt);
            }
            match tokio::time::timeout_at(until, self.turn()).await {
                Ok(Ok(())) => {}
                // A no may come with the end of the connection; it says more.
                Ok(Err(doubt)) => return Err(self.answered.take().and_then(Result::err).map_or(doubt, Doubt)),
                Err(_) => return Err(Doubt("the broker does not answer".to_owned())),
            }
        }
    }

    /// Sends what is to be sent, and takes in what has come, once.
    async fn turn(&mut self) -> Result<(), Doubt> {
        self.flush().await?;
        let due = [self.ping_at, self.pong_until].into_iter().flatten().min();
        let due = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        self.unread.reserve(READ_BYTES);
        let read = tokio::select! {
            read = self.wire.read_buf(&mut self.unread) => read,
            () = due => {
                self.time_is_up();
                return self.flush().await;
            }
        };
        match read {
            Ok(0) => Err(self.ended.take().map_or_else(|| Doubt("the broker hung up".to_owned()), Doubt)),
            Ok(_) => {
                self.understand()?;
                self.flush().await
            }
            Err(error) => Err(Doubt(format!("the broker is gone: {error}"))),
        }
    }

    async fn flush(&mut self) -> Result<(), Doubt> {
        let gone = |error: std::io::Error| Doubt(format!("the broker is gone: {error}"));
        while !self.unsent.is_empty() {
            self.unflushed = true;
            if self.wire.write_buf(&mut self.unsent).await.map_err(gone)? == 0 {
                return Err(Doubt("the broker is gone".to_owned()));
            }
        }
        if self.unflushed {
            self.wire.flush().await.map_err(gone)?;
            self.unflushed = false;
        }
        self.ended.take().map_or(Ok(()), |why| Err(Doubt(why)))
    }

    fn time_is_up(&mut self) {
        let now = Instant::now();
        if self.pong_until.is_some_and(|until| until <= now) {
            self.pong_until = None;
            self.ended = Some("the broker does not answer pings".to_owned());
        } else if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = None;
            let events = self.protocol.notify_timer_fired(TimerKind::PingreqSend);
            self.follow(events);
        }
    }

    /// Gives whole packets to the library, none that is too large.
    fn understand(&mut self) -> Result<(), Doubt> {
        while let Some(length) = packet_length(&self.unread)? {
            if self.unread.len() < length {
                break;
            }
            let events = self.protocol.recv(&mut Cursor::new(&self.unread[..length]));
            self.unread.advance(length);
            self.follow(events);
        }
        Ok(())
    }

    fn send(&mut self, packet: Packet) {
        let events = self.protocol.send(packet);
        self.follow(events);
    }

    fn follow(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => {
                    self.unsent.extend_from_slice(&packet.to_continuous_buffer());
                }
                Event::NotifyPacketReceived(packet) => self.take(packet),
                Event::RequestTimerReset { kind, duration_ms } => {
                    *self.timer(kind) = Some(Instant::now() + Duration::from_millis(duration_ms));
                }
                Event::RequestTimerCancel(kind) => *self.timer(kind) = None,
                Event::NotifyError(error) => self.end(format!("not as the protocol has it: {error}")),
                Event::RequestClose => self.end("the broker ended it".to_owned()),
                Event::NotifyPacketIdReleased(_) => {}
            }
        }
    }

    /// The first reason is the true one.
    fn end(&mut self, why: String) {
        self.ended.get_or_insert(why);
    }

    fn timer(&mut self, kind: TimerKind) -> &mut Option<Instant> {
        match kind {
            TimerKind::PingrespRecv => &mut self.pong_until,
            TimerKind::PingreqSend | TimerKind::PingreqRecv => &mut self.ping_at,
        }
    }

    fn take(&mut self, packet: Packet) {
        match packet {
            Packet::V5_0Connack(connack) => {
                let code = connack.reason_code();
                self.answered = Some(asked(code == ConnectReasonCode::Success, &code));
            }
            Packet::V3_1_1Connack(connack) => {
                let code = connack.return_code();
                self.answered = Some(asked(code == ConnectReturnCode::Accepted, &code));
            }
            Packet::V5_0Suback(suback) => {
                let refused = |code: &SubackReasonCode| *code as u8 >= 0x80;
                let codes = suback.reason_codes();
                self.answered = Some(codes.iter().find(|code| refused(code)).map_or(Ok(()), subscribed));
            }
            Packet::V3_1_1Suback(suback) => {
                let codes = suback.return_codes();
                let refused = codes.iter().find(|code| **code == SubackReturnCode::Failure);
                self.answered = Some(refused.map_or(Ok(()), subscribed));
            }
            Packet::V5_0Puback(puback) => {
                let code = puback.reason_code().unwrap_or(PubackReasonCode::Success);
                self.acknowledged(puback.packet_id(), (code as u8 >= 0x80).then(|| code.to_string()));
            }
            Packet::V3_1_1Puback(puback) => self.acknowledged(puback.packet_id(), None),
            Packet::V5_0Publish(publish) => {
                let payload = publish.payload().as_slice().to_vec();
                self.message(publish.topic_name(), payload, publish.retain());
            }
            Packet::V3_1_1Publish(publish) => {
                let payload = publish.payload().as_slice().to_vec();
                self.message(publish.topic_name(), payload, publish.retain());
            }
            Packet::V5_0Disconnect(disconnect) => {
                let why =
                    disconnect.reason_code().map_or_else(|| "no reason given".to_owned(), |code| code.to_string());
                self.ended = Some(format!("the broker ended it: {why}"));
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, id: u16, refused: Option<String>) {
        let topic = self.unacknowledged.remove(&id).unwrap_or_default();
        let refused = refused.map(|why| format!("{topic}: {why}"));
        self.arrived.push_back(Arrived::Acknowledged(id, refused));
    }

    fn message(&mut self, topic: &str, payload: Vec<u8>, is_retained: bool) {
        if self.arrived.len() >= ARRIVED_MAX {
            self.end("more messages came than can be looked at".to_owned());
            return;
        }
        self.arrived.push_back(Arrived::Message { topic: topic.to_owned(), payload, is_retained });
    }
}

fn asked(is_in: bool, code: &dyn std::fmt::Display) -> Result<(), String> {
    if is_in { Ok(()) } else { Err(format!("the broker does not let us in: {code}")) }
}

fn subscribed(code: &(impl std::fmt::Display + ?Sized)) -> Result<(), String> {
    Err(format!("the broker does not allow what we want to read: {code}"))
}

fn doubt(error: MqttError) -> Doubt {
    Doubt(format!("cannot be said in MQTT: {error}"))
}
