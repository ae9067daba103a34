//! What is said about daemon and broker before there is any need, and how a box is taken out again.

use runabout::client::Failure;

use super::args::{Mqtt, Protocol};
use super::asked::Look;
use super::broker::Broker;
use super::discovery::JOBS_MAX;
use super::link::{Arrived, Hello, Link, Wanted};
use super::topics::Topics;
use crate::daemon::Daemon;
use crate::publish::Doubt;
use crate::told::{Refusal, say};

/// Says what is wrong, and changes nothing.
///
/// # Errors
/// [`Refusal::No`] with how many things are wrong.
pub async fn check(options: &Mqtt) -> Result<(), Refusal> {
    let (daemon, broker) = (Daemon::named(&options.daemon)?, Broker::named(&options.broker)?);
    let mut wrong = Vec::new();
    let look = match looked_at(options, &daemon).await {
        Ok(look) => Some(look),
        Err(failure) => {
            wrong.push(format!("the daemon: {failure}"));
            None
        }
    };
    // Without a daemon's instance its topics are not known; what a broker forbids is seen by any other's.
    let topics = Topics::of(options, look.as_ref().map_or("check", |look| &look.instance));
    match tried(options, &broker, &topics).await {
        Ok(forbidden) => wrong.extend(forbidden),
        Err(refusal) => wrong.push(refusal.to_string()),
    }
    if options.broker.protocol == Protocol::V3 {
        say("with MQTT 3.1.1 a broker does not say which topics it forbids; only reading was checked");
    }
    for what in &wrong {
        say(what);
    }
    match wrong.len() {
        0 => {
            say("nothing is wrong");
            Ok(())
        }
        1 => Err(Refusal::No("one thing is wrong".to_owned())),
        count => Err(Refusal::No(format!("{count} things are wrong"))),
    }
}

async fn looked_at(options: &Mqtt, daemon: &Daemon) -> Result<Look, Failure> {
    let look = daemon.look().await?;
    if !daemon.lets_us_start().await? {
        say("the daemon lets us read, not start: there will be no buttons; that takes an operator");
        return Ok(look);
    }
    let jobs = daemon.startable_jobs().await?;
    for job in options.jobs.iter().filter(|job| !jobs.contains(*job)) {
        say(&format!("--jobs {job}: there is no such job, or a button cannot say the parameters that it needs"));
    }
    if options.jobs.is_empty() && jobs.len() > JOBS_MAX {
        say(&format!("there are {} jobs; the first {JOBS_MAX} will have a button (--jobs names others)", jobs.len()));
    }
    Ok(look)
}

/// Gives what the broker does not allow. It is tried by a client of its own, so that one that runs goes on.
async fn tried(options: &Mqtt, broker: &Broker, topics: &Topics) -> Result<Vec<String>, Refusal> {
    let client_id = format!("runaboutcheck{}", fastrand::u32(..));
    let mut forbidden = Vec::new();
    let filters = [topics.press("+"), topics.birth(), topics.config(), topics.status()];
    for filter in filters {
        // One by one: a broker may hang up on what it forbids.
        let mut link =
            Link::open(broker, options.broker.protocol, &Hello { client_id: &client_id, will: None }).await?;
        let wanted = Wanted { filter: filter.clone(), and_retained: true };
        if let Err(Doubt(why)) = link.subscribe(&[wanted]).await {
            forbidden.push(format!("reading {filter}: {why}"));
        }
        let _ = link.leave().await;
    }
    // Of what is written only this topic can be tried: on all others a message would be taken for what it is not.
    let mut link = Link::open(broker, options.broker.protocol, &Hello { client_id: &client_id, will: None }).await?;
    if let Err(Doubt(why)) = published(&mut link, &topics.event()).await {
        forbidden.push(format!("writing {why}"));
    }
    let _ = link.leave().await;
    Ok(forbidden)
}

/// An empty message, which nobody keeps and Home Assistant ignores.
async fn published(link: &mut Link, topic: &str) -> Result<(), Doubt> {
    let message = link.publish(topic, b"", false, 1).await?;
    loop {
        match link.next().await? {
            Arrived::Acknowledged(acknowledged, refused) if acknowledged == message => {
                return refused.map_or(Ok(()), |why| Err(Doubt(why)));
            }
            _ => {}
        }
    }
}

/// Takes the box out of Home Assistant, and all that the broker keeps of it.
///
/// # Errors
/// The daemon that knows its instance is not there, or the broker does not let us.
pub async fn remove(options: &Mqtt) -> Result<(), Refusal> {
    let (daemon, broker) = (Daemon::named(&options.daemon)?, Broker::named(&options.broker)?);
    let instance = match &options.instance {
        Some(instance) => instance.clone(),
        None => daemon.look().await.map_err(|failure| Refusal::Absent(failure.to_string()))?.instance,
    };
    let topics = Topics::of(options, &instance);
    // As the box itself: a bridge that still runs is thrown out first.
    let client_id = format!("runabout{}", topics.id);
    let mut link = Link::open(&broker, options.broker.protocol, &Hello { client_id: &client_id, will: None }).await?;
    let no = |Doubt(why): Doubt| Refusal::No(why);
    for topic in [topics.config(), topics.status(), topics.runs(), topics.failure()] {
        link.publish(&topic, b"", true, 0).await.map_err(no)?;
    }
    link.leave().await.map_err(no)?;
    say(&format!("{} is taken out of {}", topics.device(), broker.url));
    Ok(())
}
