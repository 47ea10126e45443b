// Four rounds of four worker threads each. A worker makes buffers of many sizes, compresses and hashes
// them, and hands them over; the main thread checks them and drops them. With an argument it makes
// sure first that this library is loaded.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { deflateSync, inflateSync } = require('node:zlib');

const digest = (data) => createHash('sha256').update(data).digest('hex');

function work() {
    const objects = new Map();
    let state = workerData.seed;
    const random = (limit) => (state = (state * 48271) % 2147483647) % limit;
    for (let i = 0; i < 600; i++) {
        const plain = Buffer.allocUnsafeSlow(1 + random(60000));
        for (let k = 0; k < plain.length; k++) plain[k] = (k * (i + 1)) >> 3;
        objects.set(random(200), { list: Array.from({ length: random(500) }, (_, k) => `${i}:${k}`) });
        if (i % 3) continue;
        const packed = new Uint8Array(deflateSync(plain));
        // The memory itself goes over: one thread allocates it, another frees it.
        parentPort.postMessage({ packed, digest: digest(plain) }, [packed.buffer]);
    }
    parentPort.postMessage({ objects: digest(JSON.stringify([...objects].sort((a, b) => a[0] - b[0]))) });
}

function start(seed) {
    return new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: { seed } });
        let buffers = 0, bytes = 0, objects;
        worker.on('message', (message) => {
            if (message.objects) { objects = message.objects; return; }
            const plain = inflateSync(message.packed);
            if (digest(plain) !== message.digest) reject(new Error(`seed ${seed}: a buffer has changed`));
            buffers++;
            bytes += plain.length;
        });
        worker.on('error', reject);
        worker.on('exit', (code) => code ? reject(new Error(`exit ${code}`)) : resolve(`${buffers} ${bytes} ${objects}`));
    });
}

async function main() {
    const library = process.argv[2];
    if (library && !readFileSync('/proc/self/maps', 'utf8').includes(library)) throw new Error('runs without the library');
    for (let round = 0; round < 4; round++) {
        const seeds = [1, 2, 3, 4].map((n) => round * 1000 + n);
        console.log((await Promise.all(seeds.map(start))).join('\n'));
    }
}

if (isMainThread) main().catch((error) => { console.log(String(error)); process.exit(1); });
else work();
