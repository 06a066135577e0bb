import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Reads as the benchmark's other readers do, by Hadoop's own client: URL FOLDER FILES READS. Prints seconds: whole file, 4 KB, 64 KB, small files. */
public class Read {
    public static void main(String[] given) throws Exception {
        String folder = given[1];
        int files = Integer.parseInt(given[2]);
        int reads = Integer.parseInt(given[3]);
        FileSystem fs = FileSystem.get(new Path(given[0]).toUri(), new Configuration());
        byte[] buffer = new byte[1 << 20];
        // What is compiled and loaded at the first use is not the link's.
        whole(fs, new Path(folder + "/small/0000"), buffer);
        long begun = System.nanoTime();
        whole(fs, new Path(folder + "/file"), buffer);
        System.out.println((System.nanoTime() - begun) / 1e9);
        for (int len : new int[] {4 << 10, 64 << 10}) {
            random(fs, new Path(folder + "/file"), buffer, len, 3);
            begun = System.nanoTime();
            random(fs, new Path(folder + "/file"), buffer, len, reads);
            System.out.println((System.nanoTime() - begun) / 1e9);
        }
        begun = System.nanoTime();
        for (int n = 0; n < files; n++) {
            whole(fs, new Path(folder + String.format("/small/%04d", n)), buffer);
        }
        System.out.println((System.nanoTime() - begun) / 1e9);
    }

    static void whole(FileSystem fs, Path path, byte[] buffer) throws Exception {
        try (FSDataInputStream in = fs.open(path)) {
            while (in.read(buffer) >= 0) {}
        }
    }

    static void random(FileSystem fs, Path path, byte[] buffer, int len, int reads) throws Exception {
        Random random = new Random(7);
        try (FSDataInputStream in = fs.open(path)) {
            long end = fs.getFileStatus(path).getLen() - len;
            for (int n = 0; n < reads; n++) {
                in.readFully((long) (random.nextDouble() * end), buffer, 0, len);
            }
        }
    }
}
