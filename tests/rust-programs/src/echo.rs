//! tokio: a server that sends back what it receives, and clients that keep it busy, all in one process.

use crate::{Numbers, Sum, THREADS};
use anyhow::{Context, Result, ensure};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime,
    sync::mpsc,
    task::JoinSet,
};

/// Connections at the same time.
const CLIENTS: u64 = 100;
/// Most messages are short and some are long.
const SHORT: u64 = 500;
const LONG: u64 = 40_000;
/// Messages that a side holds between its two halves of a connection.
const WAITING: usize = 16;

/// Each client sends `size` messages.
pub(crate) fn run(size: u32) -> Result<String> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_io()
        .build()?;
    let (messages, bytes, sum) = runtime.block_on(load(size))?;
    ensure!(
        messages == CLIENTS * u64::from(size),
        "{messages} messages came back"
    );
    Ok(format!(
        "{messages} messages, {bytes} bytes, sum {sum:016x}"
    ))
}

async fn load(size: u32) -> Result<(u64, u64, u64)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move {
            let stream = TcpStream::connect(address).await?;
            talk(stream, client, size).await
        });
    }
    let (mut messages, mut bytes, mut sum) = (0, 0, 0u64);
    while let Some(done) = clients.join_next().await {
        let (count, length, checksum) = done??;
        messages += count;
        bytes += length;
        // Clients end in any order.
        sum = sum.wrapping_add(checksum);
    }
    server.abort();
    Ok((messages, bytes, sum))
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

/// One task receives and another sends, so a message may be freed by another thread than the one that made it.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(send_all(writer, receiver));
    while let Some(message) = receive(&mut reader).await? {
        if sender.send(message).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A client: sends its messages and makes sure that each comes back.
async fn talk(stream: TcpStream, client: u64, size: u32) -> Result<(u64, u64, u64)> {
    let (mut reader, writer) = stream.into_split();
    let (sender, receiver) = mpsc::channel(WAITING);
    let sending = tokio::spawn(send_all(writer, receiver));
    let speaking = tokio::spawn(async move {
        let mut numbers = Numbers::new(client);
        for _ in 0..size {
            if sender.send(message(&mut numbers)).await.is_err() {
                break;
            }
        }
    });
    let mut wanted = Numbers::new(client);
    let mut sum = Sum::of(&client.to_le_bytes());
    let mut bytes = 0;
    for number in 0..size {
        let came = receive(&mut reader).await?;
        let came = came.with_context(|| format!("client {client} was left at message {number}"))?;
        ensure!(
            came == message(&mut wanted),
            "client {client}: message {number} came back changed"
        );
        bytes += u64::try_from(came.len())?;
        sum = sum.and(&came);
    }
    speaking.await?;
    sending.await??;
    Ok((u64::from(size), bytes, sum.0))
}

/// The next message of a client.
fn message(numbers: &mut Numbers) -> Vec<u8> {
    let most = match numbers.below(20) {
        0 => LONG,
        _ => SHORT,
    };
    let length = numbers.below(most) + 1;
    let mut text = Vec::new();
    while (text.len() as u64) < length {
        text.extend_from_slice(&numbers.next().to_le_bytes());
    }
    text
}

/// Sends messages, each behind its length, until there are no more.
async fn send_all(
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        writer.write_u32(length).await?;
        writer.write_all(&message).await?;
    }
    writer.shutdown().await
}

/// The next message, or `None` when the other side has no more.
async fn receive(reader: &mut OwnedReadHalf) -> io::Result<Option<Vec<u8>>> {
    let length = match reader.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; length as usize];
    reader.read_exact(&mut message).await?;
    Ok(Some(message))
}
