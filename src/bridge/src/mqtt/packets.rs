//! The packets that we send, in either version of the protocol, and how long one is that comes.

use mqtt_protocol_core::mqtt::Version;
use mqtt_protocol_core::mqtt::packet::{
    MaximumPacketSize, MessageExpiryInterval, Packet, Property, Qos, ReceiveMaximum, RetainHandling, SubEntry, SubOpts,
    v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use super::broker::Broker;
use super::link::{Hello, Wanted};
use crate::publish::Doubt;

/// A broker that heard nothing for half as long again gives us up, and publishes the last will.
const KEEP_ALIVE_S: u16 = 30;
/// The largest packet that is taken: a device's own description is the largest that is expected.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Messages of the broker's that we have not acknowledged.
const RECEIVE_MAX: u16 = 16;

/// Says who we are, with nothing left of an earlier connection.
///
/// # Errors
/// A text that is too long.
pub fn connect(version: Version, broker: &Broker, hello: &Hello<'_>) -> Result<Packet, MqttError> {
    // The builders of the two versions have the same methods and no trait in common.
    macro_rules! told {
        ($builder:expr) => {{
            let mut connect = $builder.client_id(hello.client_id)?.clean_start(true).keep_alive(KEEP_ALIVE_S);
            if let Some((topic, payload)) = hello.will {
                connect = connect.will_message(topic, payload, Qos::AtLeastOnce, true)?;
            }
            if let (Some(user), Some(password)) = (&broker.user, &broker.password) {
                connect = connect.user_name(user.as_str())?.password(password.as_str())?;
            }
            connect
        }};
    }
    if version == Version::V5_0 {
        let props = vec![
            Property::ReceiveMaximum(ReceiveMaximum::new(RECEIVE_MAX)?),
            Property::MaximumPacketSize(MaximumPacketSize::new(PACKET_BYTES_MAX as u32)?),
        ];
        Ok(told!(v5_0::Connect::builder()).props(props).build()?.into())
    } else {
        Ok(told!(v3_1_1::Connect::builder()).build()?.into())
    }
}

/// Asks for topics, at least once each message.
///
/// # Errors
/// A filter that is none.
pub fn subscribe(version: Version, id: u16, wanted: &[Wanted]) -> Result<Packet, MqttError> {
    let is_v5 = version == Version::V5_0;
    let mut entries = Vec::new();
    for Wanted { filter, and_retained } in wanted {
        let mut options = SubOpts::new().set_qos(Qos::AtLeastOnce);
        if is_v5 {
            let retained = RetainHandling::SendRetained;
            let retained = if *and_retained { retained } else { RetainHandling::DoNotSendRetained };
            options = options.set_nl(true).set_rap(true).set_rh(retained);
        }
        entries.push(SubEntry::new(filter.as_str(), options)?);
    }
    Ok(if is_v5 {
        v5_0::Subscribe::builder().packet_id(id).entries(entries).build()?.into()
    } else {
        v3_1_1::Subscribe::builder().packet_id(id).entries(entries).build()?.into()
    })
}

/// A message, at least once; 0 is no expiry.
///
/// # Errors
/// A topic that is none.
pub fn publish(
    version: Version,
    id: u16,
    topic: &str,
    payload: &[u8],
    retain: bool,
    expiry_s: u32,
) -> Result<Packet, MqttError> {
    let (qos, payload) = (Qos::AtLeastOnce, payload.to_vec());
    if version != Version::V5_0 {
        let publish = v3_1_1::Publish::builder().topic_name(topic)?.qos(qos).retain(retain).packet_id(id);
        return Ok(publish.payload(payload).build()?.into());
    }
    let mut props = Vec::new();
    if expiry_s > 0 {
        props.push(Property::MessageExpiryInterval(MessageExpiryInterval::new(expiry_s)?));
    }
    let publish = v5_0::Publish::builder().topic_name(topic)?.qos(qos).retain(retain).packet_id(id);
    Ok(publish.props(props).payload(payload).build()?.into())
}

/// Says good-bye, so that there is no last will.
///
/// # Errors
/// None in fact; the library's builders can fail.
pub fn disconnect(version: Version) -> Result<Packet, MqttError> {
    Ok(if version == Version::V5_0 {
        v5_0::Disconnect::builder().build()?.into()
    } else {
        v3_1_1::Disconnect::builder().build()?.into()
    })
}

/// How long the packet is that these bytes begin with, where they tell it already.
///
/// # Errors
/// They are no MQTT, or too many.
pub fn packet_length(bytes: &[u8]) -> Result<Option<usize>, Doubt> {
    let mut length = 0_usize;
    for (nth, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * nth);
        if byte & 0x80 == 0 {
            let whole = 1 + nth + 1 + length;
            if whole > PACKET_BYTES_MAX {
                return Err(Doubt(format!("the broker sent {whole} bytes at once; {PACKET_BYTES_MAX} are taken")));
            }
            return Ok(Some(whole));
        }
    }
    if bytes.len() >= 5 { Err(Doubt("what the broker sent is no MQTT".to_owned())) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::{PACKET_BYTES_MAX, packet_length};

    #[test]
    fn a_packet_is_known_by_its_first_bytes_and_none_is_too_large() {
        let length = |bytes: &[u8]| packet_length(bytes).map_err(|doubt| doubt.0);
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[0x30]), Ok(None));
        assert_eq!(length(&[0xd0, 0]), Ok(Some(2)));
        assert_eq!(length(&[0x30, 0x7f]), Ok(Some(129)));
        assert_eq!(length(&[0x30, 0x80]), Ok(None));
        assert_eq!(length(&[0x30, 0x80, 0x01]), Ok(Some(131)));
        assert_eq!(length(&[0x30, 0xfc, 0xff, 0x3f, 0]), Ok(Some(PACKET_BYTES_MAX)));
        assert!(length(&[0x30, 0xfd, 0xff, 0x3f]).expect_err("refused").contains("at once"));
        assert!(length(&[0x30, 0xff, 0xff, 0xff, 0x7f]).expect_err("refused").contains("at once"));
        assert!(length(&[0x48, 0xff, 0xff, 0xff, 0xff]).expect_err("refused").contains("no MQTT"));
    }
}
