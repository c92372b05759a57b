// A chat in a terminal, on Ringdial.swift: LOOKUP ME TO, where TO is a user, or g: and a group. Each line of input is sent. Output:
// `TOPIC #OFFSET SENDER: TEXT` for a message, `sent #OFFSET` once one's own is stored; what happens to the connection is told on
// stderr. The application's token, if the service wants one, is in RINGDIAL_TOKEN.

import Foundation

@main
struct Chat {
    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let lookup = URL(string: arguments[1]) else {
            FileHandle.standardError.write(Data("usage: chat LOOKUP ME TO\n".utf8))
            exit(2)
        }
        setvbuf(stdout, nil, _IOLBF, 0)
        let (me, to) = (arguments[2], arguments[3])
        let group = to.hasPrefix("g:") ? String(to.dropFirst(2)) : nil
        let client = RingdialClient(
            lookup: lookup, user: me, groups: group.map { [$0] } ?? [],
            token: { _ in ProcessInfo.processInfo.environment["RINGDIAL_TOKEN"] }, onEvent: tell)
        await client.start()
        let target: Json = group.map { ["group": $0] } ?? ["user": to]
        for await line in lines() {
            do {
                let ack = try await client.send(to: target, data: ["text": line])
                print("sent #\(ack["offset"] ?? "-")")
            } catch {
                print("not sent: \(error)")
            }
        }
        await client.close()
    }

    /// Lines of input. A thread of its own waits for them.
    static func lines() -> AsyncStream<String> {
        AsyncStream { lines in
            Thread.detachNewThread {
                while let line = readLine() { lines.yield(line) }
                lines.finish()
            }
        }
    }

    static func tell(_ event: Event) {
        switch event {
        case .message(let message):
            let text = (message.data as? Json)?["text"] ?? message.data
            print("\(message.topic) #\(message.offset.map(String.init) ?? "-") \(message.from): \(text)")
        case .gap(let topic, let after, let before, let reason):
            print("\(topic): messages \(after + 1) to \(before - 1) are missing (\(reason))")
        case .status(let state, let detail):
            FileHandle.standardError.write(Data("\(state): \(detail)\n".utf8))
        }
    }
}
