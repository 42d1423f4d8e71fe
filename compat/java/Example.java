import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Example {
    public static void main(String[] arguments) throws Exception {
        String body = "{\"model\": \"mistral-small-latest\", \"temperature\": 0, \"messages\": "
                + "[{\"role\": \"user\", \"content\": \"In which city is the Eiffel Tower?\"}]}";
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:8000/v1/chat/completions"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
