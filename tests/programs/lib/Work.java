import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/**
 * Threads that come and go, each with memory outside the Java heap: direct buffers, and the native state
 * of compressors. With an argument it makes sure first that this library is loaded.
 */
public class Work {
    public static void main(String[] args) throws Exception {
        if (args.length > 0 && !Files.readString(Path.of("/proc/self/maps")).contains(args[0])) {
            System.out.println("runs without the library");
            System.exit(1);
        }
        for (int round = 0; round < 8; round++) {
            var pool = Executors.newFixedThreadPool(8);
            List<Callable<Long>> tasks = new ArrayList<>();
            for (int task = 0; task < 64; task++) {
                long seed = round * 1000L + task + 1;
                tasks.add(() -> compress(seed) * 31 + buffers(seed));
            }
            long sum = 0;
            for (Future<Long> future : pool.invokeAll(tasks)) sum = sum * 31 + future.get();
            pool.shutdown();
            System.out.println("round " + round + ": " + Long.toHexString(sum));
        }
        threads();
    }

    /** Packs and unpacks data with zlib, which allocates with malloc. */
    static long compress(long seed) throws Exception {
        byte[] plain = new byte[20_000 + (int) (seed % 7) * 5_000];
        for (int i = 0; i < plain.length; i++) plain[i] = (byte) ((i * seed) >> 4);
        var deflater = new Deflater((int) (seed % 9) + 1);
        deflater.setInput(plain);
        deflater.finish();
        byte[] packed = new byte[plain.length * 2];
        int length = deflater.deflate(packed);
        deflater.end();
        var inflater = new Inflater();
        inflater.setInput(packed, 0, length);
        byte[] back = new byte[plain.length];
        if (inflater.inflate(back) != plain.length) throw new IllegalStateException("length");
        inflater.end();
        for (int i = 0; i < plain.length; i++) {
            if (plain[i] != back[i]) throw new IllegalStateException("content at " + i);
        }
        var crc = new CRC32();
        crc.update(back);
        return crc.getValue();
    }

    /** Writes and reads direct buffers of many sizes, which the collector's cleaner thread frees. */
    static long buffers(long seed) {
        List<ByteBuffer> kept = new ArrayList<>();
        long sum = 0;
        for (int i = 0; i < 60; i++) {
            var buffer = ByteBuffer.allocateDirect(8 + (int) ((seed * 7919 + i * 104_729L) % 40_000));
            for (int k = 0; k + 8 <= buffer.capacity(); k += 64) buffer.putLong(k, seed * i + k);
            kept.add(buffer);
            if (kept.size() > 20) kept.remove((int) (seed % 20));
        }
        for (var buffer : kept) {
            for (int k = 0; k + 8 <= buffer.capacity(); k += 64) sum = sum * 31 + buffer.getLong(k);
        }
        return sum;
    }

    /** 400 short-lived threads. */
    static void threads() throws Exception {
        long[] results = new long[400];
        for (int start = 0; start < results.length; start += 20) {
            List<Thread> group = new ArrayList<>();
            for (int i = start; i < start + 20; i++) {
                int index = i;
                var thread = new Thread(() -> results[index] = buffers(index + 1));
                thread.start();
                group.add(thread);
            }
            for (var thread : group) thread.join();
        }
        long sum = 0;
        for (long result : results) sum = sum * 31 + result;
        System.out.println("threads: " + Long.toHexString(sum));
    }
}
