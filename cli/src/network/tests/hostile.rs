//! Whoever sends anything at all costs little, and nobody else notices.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

/// Waits until the other side has hung up.
async fn ends(stream: &mut TcpStream) {
    // A reset is an end, too.
    while timeout(PATIENCE, stream.read(&mut [0; 1024])).await.expect("the connection ends").is_ok_and(|n| n > 0) {}
}

#[test]
fn garbage_ends_the_connection_that_it_comes_on_and_no_other() {
    let (mut network, address) = network(LIMITS);
    is_served(&mut network);
    block_on(async {
        for (byte, length) in [(0, 32), (1, 33), (0xff, 200), (b'G', 100_000)] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The other side may hang up before it has read all.
            drop(stream.write_all(&vec![byte; length]).await);
            drop(stream.shutdown().await);
            ends(&mut stream).await;
        }
        // Of a challenger that has shown who it is: no kind of request, none that can be read, one that is too long.
        let longest = trestle_challenger::lane::Question::longest();
        let worst: [(u8, Vec<u8>); 6] = [
            (0, vec![]),
            (3, vec![0; 4]),
            (1, vec![]),
            (1, vec![0xff; 200]),
            (2, vec![0; 31]),
            (1, vec![0; longest + 1]),
        ];
        for (kind, bytes) in worst {
            let mut channel = connect(address, 1).await;
            channel.send(kind, &bytes).await.unwrap();
            let ended = channel.receive(PATIENCE, |_| Some(1000)).await;
            assert!(matches!(ended, Err(Error::Io(_))), "{kind} {ended:?}");
        }
    });
    assert!(network.asked().is_empty());
    is_served(&mut network);
}

#[test]
fn a_stranger_that_sends_a_byte_now_and_then_is_not_waited_for() {
    let (mut network, address) = network(Limits { handshake: Duration::from_secs(1), ..LIMITS });
    block_on(async {
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        let mut sent = 0;
        // Each byte comes long before the deadline, all of them long after it.
        while timeout(Duration::from_millis(250), slow.read(&mut [0])).await.is_err() {
            sent += 1;
            assert!(sent < 32, "{sent} bytes were waited for");
            drop(slow.write_all(&[0]).await);
        }
        ends(&mut silent).await;
    });
    is_served(&mut network);
}

#[test]
fn a_challenger_that_does_not_end_what_it_says_is_not_waited_for() {
    let (mut network, address) = network(Limits { message: Duration::from_millis(200), ..LIMITS });
    block_on(async {
        let channel = connect(address, 1).await;
        let mut stream = channel.into_stream();
        stream.write_all(&[0; 20]).await.unwrap();
        ends(&mut stream).await;
    });
    is_served(&mut network);
}

#[test]
fn many_strangers_keep_nobody_out() {
    let (mut network, address) = network(LIMITS);
    block_on(async {
        let mut strangers = Vec::new();
        for _ in 0..50 {
            strangers.push(TcpStream::connect(address).await.unwrap());
        }
        // The oldest give way; the others are waited for.
        for stranger in &mut strangers[..50 - LIMITS.strangers] {
            ends(stranger).await;
        }
        let last = strangers.last_mut().unwrap();
        assert!(timeout(Duration::from_millis(50), last.read(&mut [0])).await.is_err());
        let challenger = connect(address, 1).await;
        let mut again = connect(address, 1).await;
        // A challenger has one connection, the last.
        ends(&mut challenger.into_stream()).await;
        let (kind, bytes) = first_round(0, 0).encode();
        again.send(kind, &bytes).await.unwrap();
        again.receive(PATIENCE, |_| Some(1000)).await.unwrap();
        drop(strangers);
    });
    is_served(&mut network);
}
