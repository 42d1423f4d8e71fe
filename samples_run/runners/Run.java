import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/** Compiles and runs programs one after the other: reads the path of a program and of its output from each line. */
public class Run {
    public static void main(String[] args) throws Exception {
        PrintStream reply = System.out;
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] task = line.split("\t");
            Path program = Path.of(task[0]);
            String error = "";
            try (PrintStream output = new PrintStream(new FileOutputStream(task[1]), true)) {
                System.setOut(output);
                run(compiler, program);
            } catch (Throwable thrown) {
                Throwable cause = thrown.getCause() == null ? thrown : thrown.getCause();
                error = cause.toString().replace("\n", " ");
            }
            System.setOut(reply);
            reply.println("done " + error);
        }
    }

    private static void run(JavaCompiler compiler, Path program) throws Exception {
        StringWriter said = new StringWriter();
        List<String> options = List.of("-encoding", "US-ASCII", "-Xlint:all", "-Werror", "-d", program.getParent().toString());
        try (var files = compiler.getStandardFileManager(null, null, null)) {
            var task = compiler.getTask(said, files, null, options, null, files.getJavaFileObjects(program));
            if (!task.call()) {
                throw new IllegalArgumentException(said.toString());
            }
        }
        String name = program.getFileName().toString().replace(".java", "");
        URL[] folder = {program.getParent().toUri().toURL()};
        try (URLClassLoader loader = new URLClassLoader(folder)) {
            loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) new String[0]);
        }
    }
}
