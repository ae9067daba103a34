//! Clients that each have one request outstanding and send the next when it was answered: one thread, so that they take
//! as little as they can of the machine that the server is measured on.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::epoll;

/// How often others may look while it goes on.
const TICK: Duration = Duration::from_millis(200);

/// When it is enough.
#[derive(Clone, Copy)]
pub enum Until {
    Over(Duration),
    Answered(usize),
}

/// What is sent again and again, and how its answer is known to be whole.
pub struct Exchange<'a> {
    pub request: &'a [u8],
    pub is_answer: fn(&[u8]) -> bool,
}

struct Client {
    stream: UnixStream,
    answer: Vec<u8>,
    len: usize,
}

/// Sends from all connections until it is enough; answers how many answers came a second. `tick` is called now and then.
pub fn rate(connections: Vec<UnixStream>, exchange: &Exchange, until: Until, mut tick: impl FnMut()) -> f64 {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut clients: Vec<_> =
        connections.into_iter().map(|stream| Client { stream, answer: vec![0; 8192], len: 0 }).collect();
    for (index, client) in clients.iter().enumerate() {
        epoll::add(&epoll, &client.stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN).unwrap();
    }
    let begun = Instant::now();
    let (mut sent, mut answered, mut ticked) = (0, 0, begun);
    for client in &mut clients {
        client.stream.write_all(exchange.request).unwrap();
        sent += 1;
    }
    let is_enough = |sent: usize| match until {
        Until::Over(span) => begun.elapsed() >= span,
        Until::Answered(count) => sent >= count,
    };
    let mut took = begun.elapsed();
    let mut space = [const { MaybeUninit::<epoll::Event>::uninit() }; 64];
    while answered < sent {
        let (ready, _) = epoll::wait(&epoll, &mut space, None).unwrap();
        for event in ready {
            let client = &mut clients[event.data.u64() as usize];
            client.read();
            if !(exchange.is_answer)(&client.answer[..client.len]) {
                continue;
            }
            (client.len, answered) = (0, answered + 1);
            took = begun.elapsed();
            if !is_enough(sent) {
                client.stream.write_all(exchange.request).unwrap();
                sent += 1;
            }
        }
        if ticked.elapsed() > TICK {
            ticked = Instant::now();
            tick();
        }
    }
    answered as f64 / took.as_secs_f64()
}

impl Client {
    fn read(&mut self) {
        if self.len == self.answer.len() {
            self.answer.resize(2 * self.len, 0);
        }
        let len = self.stream.read(&mut self.answer[self.len..]).unwrap();
        assert!(len > 0, "the server closed a connection");
        self.len += len;
    }
}
