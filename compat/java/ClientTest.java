import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Tests of Java's client as it comes: it offers HTTP/2 with every request. The argument is the JUnit report. */
public class ClientTest {
    interface Test {
        void run() throws Exception;
    }

    static final String URL = System.getenv("PONANT_URL");
    static final String MESSAGES = "[{\"role\": \"user\", \"content\": \"In which city is the Eiffel Tower?\"}]";
    static final String CHAT = "{\"model\": \"mistral-small-latest\", \"temperature\": 0, \"max_tokens\": 24, \"messages\": "
            + MESSAGES;
    static final HttpClient client = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        Map<String, Test> tests = new LinkedHashMap<>();
        tests.put("chat is answered", ClientTest::chatIsAnswered);
        tests.put("chat is answered on one connection", ClientTest::chatIsAnsweredAgain);
        tests.put("chat bodies may be of unknown length", ClientTest::bodiesMayBeOfUnknownLength);
        tests.put("chat errors have a status", ClientTest::errorsHaveAStatus);
        tests.put("stream joins to the answer", ClientTest::streamJoins);
        tests.put("embeddings are made", ClientTest::embeddingsAreMade);
        tests.put("fim fills in", ClientTest::fimFillsIn);
        tests.put("async answers come side by side", ClientTest::asyncAnswers);
        tests.put("files are uploaded and deleted", ClientTest::filesAreUploaded);
        StringBuilder report = new StringBuilder("<testsuites><testsuite>\n");
        for (Map.Entry<String, Test> test : tests.entrySet()) {
            report.append("<testcase classname=\"client\" name=\"").append(test.getKey()).append("\">");
            try {
                test.getValue().run();
            } catch (Exception | AssertionError error) {
                StringWriter trace = new StringWriter();
                error.printStackTrace(new PrintWriter(trace));
                System.out.println(test.getKey() + ": " + trace);
                report.append("<failure/>");
            }
            report.append("</testcase>\n");
        }
        Files.writeString(Path.of(arguments[0]), report.append("</testsuite></testsuites>\n"));
    }

    static void chatIsAnswered() throws Exception {
        HttpResponse<String> response = post("/v1/chat/completions", CHAT + "}");
        check(response.statusCode() == 200, response.body());
        check(response.version() == HttpClient.Version.HTTP_1_1, "the version is " + response.version());
        check(!content(response.body()).isEmpty(), response.body());
    }

    static void chatIsAnsweredAgain() throws Exception {
        HttpClient other = HttpClient.newHttpClient();
        for (int count = 0; count < 3; count++) {
            HttpRequest request = request("/v1/chat/completions", BodyPublishers.ofString(CHAT + "}"));
            check(other.send(request, BodyHandlers.ofString()).statusCode() == 200, "the status is another");
        }
    }

    static void bodiesMayBeOfUnknownLength() throws Exception {
        BodyPublisher body = BodyPublishers.ofByteArrays(List.of(CHAT.getBytes(), "}".getBytes()));
        HttpResponse<String> response = client.send(request("/v1/chat/completions", body), BodyHandlers.ofString());
        check(response.statusCode() == 200, response.body());
    }

    static void errorsHaveAStatus() throws Exception {
        check(post("/v1/chat/completions", CHAT + ", \"colour\": 1}").statusCode() == 422, "the status is another");
    }

    static void streamJoins() throws Exception {
        HttpRequest request = request("/v1/chat/completions", BodyPublishers.ofString(CHAT + ", \"stream\": true}"));
        List<String> data = client.send(request, BodyHandlers.ofLines()).body()
                .filter(line -> line.startsWith("data: {")).collect(Collectors.toList());
        check(data.size() > 1, "there are " + data.size() + " events");
        String joined = data.stream().map(ClientTest::content).collect(Collectors.joining());
        check(joined.equals(content(post("/v1/chat/completions", CHAT + "}").body())), joined);
    }

    static void embeddingsAreMade() throws Exception {
        HttpResponse<String> response = post("/v1/embeddings", "{\"model\": \"mistral-embed\", \"input\": [\"a\", \"b\"]}");
        check(response.statusCode() == 200, response.body());
        check(response.body().contains("\"index\":1"), response.body());
    }

    static void fimFillsIn() throws Exception {
        String body = "{\"model\": \"codestral-latest\", \"prompt\": \"def add(a, b):\", \"max_tokens\": 8}";
        HttpResponse<String> response = post("/v1/fim/completions", body);
        check(response.statusCode() == 200, response.body());
    }

    static void asyncAnswers() throws Exception {
        List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
        for (int count = 0; count < 4; count++) {
            HttpRequest request = request("/v1/chat/completions", BodyPublishers.ofString(CHAT + "}"));
            answers.add(client.sendAsync(request, BodyHandlers.ofString()));
        }
        for (CompletableFuture<HttpResponse<String>> answer : answers) {
            check(answer.get().statusCode() == 200, answer.get().body());
        }
    }

    static void filesAreUploaded() throws Exception {
        String part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{}\r\n--x--\r\n";
        HttpRequest upload = HttpRequest.newBuilder(URI.create(URL + "/v1/files"))
                .header("Content-Type", "multipart/form-data; boundary=x")
                .POST(BodyPublishers.ofString(part)).build();
        HttpResponse<String> uploaded = client.send(upload, BodyHandlers.ofString());
        check(uploaded.statusCode() == 200, uploaded.body());
        URI file = URI.create(URL + "/v1/files/" + found("\"id\":\"([^\"]+)\"", uploaded.body()));
        HttpRequest deletion = HttpRequest.newBuilder(file).DELETE().build();
        check(client.send(deletion, BodyHandlers.ofString()).statusCode() == 200, "the file is not deleted");
    }

    static HttpResponse<String> post(String path, String body) throws Exception {
        return client.send(request(path, BodyPublishers.ofString(body)), BodyHandlers.ofString());
    }

    static HttpRequest request(String path, BodyPublisher body) {
        return HttpRequest.newBuilder(URI.create(URL + path)).header("Content-Type", "application/json").POST(body).build();
    }

    /** Returns the JSON text of the content of a message or of a piece of it. */
    static String content(String json) {
        return found("\"content\":\"((?:[^\"\\\\]|\\\\.)*)\"", json);
    }

    static String found(String pattern, String text) {
        Matcher matcher = Pattern.compile(pattern).matcher(text);
        return matcher.find() ? matcher.group(1) : "";
    }

    static void check(boolean holds, String message) {
        if (!holds) {
            throw new AssertionError(message);
        }
    }
}
