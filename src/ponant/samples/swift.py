"""Samples in Swift, with URLSession, for Apple's systems and Linux."""

from ponant.samples.call import ApiCall, Target
from ponant.samples.layout import JSON
from ponant.samples.multipart import BOUNDARY, head_lines
from ponant.samples.operations import Match, Reply
from ponant.samples.results import is_plain
from ponant.samples.strings import swift_string

_IMPORTS = """\
import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

"""
_EVENT = """\
struct Event: Decodable {
    struct Choice: Decodable { let delta: Delta }
    struct Delta: Decodable { let content: String? }
    let choices: [Choice]
}

"""
_PRINTER = """\
final class EventPrinter: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    let finished = DispatchSemaphore(value: 0)
    private var received = Data()

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        received.append(data)
        while let end = received.firstIndex(of: UInt8(ascii: "\\n")) {
            show(String(decoding: received[..<end], as: UTF8.self))
            received.removeSubrange(...end)
        }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: Error?) {
        if let error { print(error) }
        finished.signal()
    }

    private func show(_ line: String) {
        guard line.hasPrefix("data: "), line != "data: [DONE]" else { return }
"""
_PIECE = """\
        let event = try? JSONDecoder().decode(Event.self, from: Data(line.dropFirst(6).utf8))
        FileHandle.standardOutput.write(Data((event?.choices.first?.delta.content ?? "").utf8))
"""
_WHOLE_EVENT = """\
        print(line.dropFirst(6))
"""
_STREAMING = """\
let printer = EventPrinter()
let session = URLSession(configuration: .default, delegate: printer, delegateQueue: nil)
session.dataTask(with: request).resume()
printer.finished.wait()
"""
_ANSWER = "let (data, _) = try await URLSession.shared.data(for: request)\n"


def swift_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the program."""
    before = ""
    if call.is_streamed:
        plain = is_plain(call)
        before = f"{_EVENT * plain}{_PRINTER}{_PIECE if plain else _WHOLE_EVENT}    }}\n}}\n\n"
    return f"{_IMPORTS}{before}{_request(call, target)}\n{_answer(call, match)}"


def _request(call: ApiCall, target: Target) -> str:
    lines = [f"request = URLRequest(url: URL(string: {swift_string(target.url(call))})!)"]
    if call.method != "GET":
        lines.append(f'request.httpMethod = "{call.method}"')
    if target.key:
        lines.append(f'let key = ProcessInfo.processInfo.environment["{target.key}"] ?? ""')
        lines.append('request.setValue("Bearer \\(key)", forHTTPHeaderField: "Authorization")')
    if call.form:
        lines += ["", *_form(call)]
    elif call.body is not None:
        lines.append('request.setValue("application/json", forHTTPHeaderField: "Content-Type")')
        lines.append(f"request.httpBody = Data({_raw(JSON.body(call.body))}.utf8)")
    lines[0] = f"{'var' if lines[1:] else 'let'} {lines[0]}"
    return "".join(f"{line}\n" for line in lines)


def _form(call: ApiCall) -> list[str]:
    assert call.form
    lines = ['"--\\(boundary)"' if line == BOUNDARY else swift_string(line) for line in head_lines(call.form)]
    return [
        "let boundary = UUID().uuidString",
        "let head = [",
        *(f"    {line}," for line in lines),
        '    "", "",',
        '].joined(separator: "\\r\\n")',
        "var body = Data(head.utf8)",
        f"body += try Data(contentsOf: URL(fileURLWithPath: {swift_string(call.form.file_name)}))",
        'body += Data("\\r\\n--\\(boundary)--\\r\\n".utf8)',
        'request.setValue("multipart/form-data; boundary=\\(boundary)", forHTTPHeaderField: "Content-Type")',
        "request.httpBody = body",
    ]


def _raw(text: str) -> str:
    """Return a raw string of several lines. Its number signs follow no quote and no backslash in the text."""
    marks = "#"
    while f'"{marks}' in text or f"\\{marks}" in text:
        marks += "#"
    return f'{marks}"""\n{text}\n"""{marks}'


def _answer(call: ApiCall, match: Match) -> str:
    if call.is_streamed:
        return _STREAMING
    if match.operation.reply is Reply.CONTENT:
        return f'{_ANSWER}try data.write(to: URL(fileURLWithPath: "content.jsonl"))\n'
    return f"{_ANSWER}print(String(decoding: data, as: UTF8.self))\n"
