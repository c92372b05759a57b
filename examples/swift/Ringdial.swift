// A client of Ringdial in one file, for Apple's platforms and Linux: URLSession, nothing else.
// It does what docs/PROTOCOL.md asks of a client: a lookup and a ticket for each attempt, positions in topics so that every
// durable message is given once and in order, unanswered sends repeated with their keys, moves without a moment offline.
//
// Compiled and run on Linux, not yet on Apple's platforms. See README.md.

import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking  // where URLSession is, elsewhere than on Apple's platforms
#endif

public typealias Json = [String: Any]

public struct Message {
    public let topic: String
    public let from: String
    public let data: Any
    /// A durable message's place in the log.
    public let epoch: String?
    public let offset: Int?
}

public enum Event {
    case message(Message)
    /// The messages between `after` and `before` will never come: fetch your state anew.
    case gap(topic: String, after: Int, before: Int, reason: String)
    /// connected, moved, reconnecting, closed; refused: a topic that is not followed.
    case status(state: String, detail: String)
}

public struct RingdialError: Error {
    public let code: String
    public let detail: String
}

/// What is to be done after a close code or a refusal. By the hundreds, so that an old client handles new codes.
private enum Policy {
    case now, later, lost, refresh, stop

    init(closeCode: Int) {
        switch closeCode {
        case 4401: self = .refresh
        case 4000..<4100: self = .now
        case 4100..<4200: self = .later
        case 4400..<4500: self = .stop
        default: self = .lost
        }
    }

    /// By the `error` that came before the close, where the code is not told.
    init(said: Json?) {
        switch said?["code"] as? String {
        case nil: self = .lost
        case "draining": self = .now
        case "token_expired", "session_revoked": self = .refresh
        default: self = said?["temporary"] as? Bool == false ? .stop : .later
        }
    }
}

private let openSeconds = 8.0  // until `welcome`, which alone may take 2 s
private let detachSeconds = 2.0
private let slackSeconds = 10.0  // beyond two heartbeats of silence
private let healthySeconds = 30.0  // a connection that held for so long clears the count of failures
private let unansweredMax = 256
private let frameMax = 16 << 20  // bytes of a frame

/// One connection. Touched by the client's actor alone.
private final class Link {
    let socket: URLSessionWebSocketTask
    let node: String
    let since = Date()
    var heardAt = Date()
    var patience = TimeInterval.infinity
    var pending = Set<String>()
    var said: Json?  // the error that announced the end
    var ended = false
    private let toWrite: AsyncStream<String>.Continuation

    init(socket: URLSessionWebSocketTask, node: String) {
        self.socket = socket
        self.node = node
        let (frames, toWrite) = AsyncStream.makeStream(of: String.self)
        self.toWrite = toWrite
        // One after the other, so that they arrive in their order.
        Task {
            for await frame in frames { try? await socket.send(.string(frame)) }  // whoever reads notices the end
        }
    }

    deinit { toWrite.finish() }

    func write(_ frame: Json) {
        guard let bytes = try? JSONSerialization.data(withJSONObject: frame), let text = String(data: bytes, encoding: .utf8) else { return }
        toWrite.yield(text)
    }
}

public actor RingdialClient {
    private struct Position {
        let epoch: String
        let offset: Int
    }

    private struct Send {
        let ref: Int
        let frame: Json
        let answer: CheckedContinuation<Json, Error>
    }

    private let lookup: URL
    private let user: String
    private let asked: Set<String>
    private let token: (Bool) async throws -> String?
    private let onEvent: (Event) -> Void
    private let http = URLSession(configuration: .ephemeral)
    private let sockets: URLSession

    private var topics: Set<String>  // those of the token, and those that the back end gave, come to what was asked for
    private var positions: [String: Position] = [:]
    private var seen: [String: Int] = [:]  // topic and origin of ephemeral messages -> the last counter
    private var unanswered: [Send] = []
    private var avoid: [String] = []
    private var refs = 0
    private var link: Link?
    private var dialing: Link?
    private var leaving: Link?
    private var session: String?
    private var failures = 0
    private var refreshed = false
    private var baseMs = 500.0
    private var maxMs = 30_000.0
    private var spreadMs = 500.0
    private var over = false

    /// `token` is asked before every lookup, and told whether the last one was rejected; nil where ids are taken without tokens.
    /// One's own inbox and the groups are read from the beginning of the log.
    public init(
        lookup: URL, user: String, groups: [String] = [], token: @escaping (Bool) async throws -> String? = { _ in nil },
        onEvent: @escaping (Event) -> Void
    ) {
        self.lookup = lookup
        self.user = user
        asked = Set(groups.map { "g:\($0)" } + ["u:\(user)"])
        topics = asked
        self.token = token
        self.onEvent = onEvent
        let configuration = URLSessionConfiguration.ephemeral
        #if canImport(FoundationNetworking)
        configuration.httpAdditionalHeaders = ["Connection": "Upgrade"]  // says keep-alive otherwise, and is refused
        #endif
        sockets = URLSession(configuration: configuration)
    }

    public func start() {
        Task { await self.lookUp() }
        Task { await self.watch() }
    }

    /// The ack of a durable send. It is repeated with its key over reconnects, and after temporary errors.
    public func send(to: Json, data: Any, key: String = UUID().uuidString) async throws -> Json {
        guard !over, unanswered.count < unansweredMax else { throw RingdialError(code: over ? "closed" : "outbox_full", detail: "not sent") }
        refs += 1
        let ref = refs
        let frame: Json = ["op": "send", "ref": ref, "to": to, "data": data, "key": key]
        return try await withCheckedThrowingContinuation { answer in
            unanswered.append(Send(ref: ref, frame: frame, answer: answer))
            link?.write(frame)
        }
    }

    public func close() {
        stop(RingdialError(code: "closed", detail: "by close()"))
    }

    // MARK: Looking up

    private func lookUp() async {
        guard !over else { return }
        var address = URLComponents(url: lookup, resolvingAgainstBaseURL: false)!
        address.queryItems = [URLQueryItem(name: "id", value: user)] + avoid.map { URLQueryItem(name: "avoid", value: $0) }
        // URLComponents leaves `+` alone, which a server reads as a space.
        address.percentEncodedQuery = address.percentEncodedQuery?.replacingOccurrences(of: "+", with: "%2B")
        var request = URLRequest(url: address.url!, cachePolicy: .reloadIgnoringLocalCacheData, timeoutInterval: 10)
        do {
            if let bearer = try await token(refreshed) { request.setValue("Bearer \(bearer)", forHTTPHeaderField: "Authorization") }
            let (bytes, response) = try await http.data(for: request)
            let status = (response as? HTTPURLResponse)?.statusCode ?? 0
            let body = (try? JSONSerialization.jsonObject(with: bytes)) as? Json ?? [:]
            // What stands in between may answer anything: a page to sign in to the network, say.
            let isGrant = (body["url"] as? String).flatMap(URL.init(string:)) != nil && body["protocols"] is [String]
            guard status != 200 || !isGrant else { return dial(body) }
            let policy: Policy = status == 401 ? .refresh : body["temporary"] as? Bool == false ? .stop : .later
            let header = (response as? HTTPURLResponse)?.value(forHTTPHeaderField: "Retry-After").flatMap(Double.init)
            again(policy, body["code"] as? String ?? "http_\(status)", advice: body["retry_after_ms"] as? Double ?? header.map { $0 * 1000 })
        } catch {
            again(.later, "lookup_failed: \(error.localizedDescription)")
        }
    }

    /// The next attempt, or the end. Full jitter; the first loss of a connection spreads as the node had said.
    private func again(_ policy: Policy, _ why: String, advice: Double? = nil) {
        guard !over else { return }
        if policy == .stop || policy == .refresh && refreshed { return stop(RingdialError(code: why, detail: "the application must act")) }
        if policy == .refresh { refreshed = true }
        let wait: Double
        if let advice {
            wait = advice + .random(in: 0...baseMs)
        } else if failures == 0 && (policy == .now || policy == .refresh) {
            wait = 0
        } else if failures == 0 && policy == .lost {
            wait = .random(in: 0...spreadMs)
        } else {
            wait = .random(in: 0...min(maxMs, baseMs * pow(2, Double(min(failures, 30)))))
        }
        failures += 1
        onEvent(.status(state: "reconnecting", detail: why))
        after(wait / 1000) { await $0.lookUp() }
    }

    // MARK: Connections

    /// By the answer of a lookup, or by `moved`.
    private func dial(_ grant: Json) {
        guard !over, let address = (grant["url"] as? String).flatMap(URL.init(string:)), let protocols = grant["protocols"] as? [String] else { return }
        if let retry = grant["retry"] as? Json {
            baseMs = retry["base_ms"] as? Double ?? baseMs
            maxMs = retry["max_ms"] as? Double ?? maxMs
        }
        let made = Link(socket: sockets.webSocketTask(with: address, protocols: protocols), node: grant["node"] as? String ?? "")
        made.socket.maximumMessageSize = frameMax
        dialing = made
        made.socket.resume()
        made.write(hello())
        Task { await self.read(made) }
        after(openSeconds) { client in await client.giveUp(made) }
    }

    private func giveUp(_ late: Link) {
        if dialing === late { late.socket.cancel() }
    }

    private func hello() -> Json {
        var resume: Json = [:]
        for topic in topics {
            if let here = positions[topic] {
                resume[topic] = ["epoch": here.epoch, "offset": here.offset] as Json
            } else if asked.contains(topic) {
                resume[topic] = ["offset": 0]
            }
        }
        var hello: Json = ["op": "hello", "resume": resume]
        hello["replaces"] = session
        return hello
    }

    private func read(_ from: Link) async {
        while true {
            do {
                let message = try await from.socket.receive()
                from.heardAt = Date()
                guard case .string(let text) = message, let frame = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? Json else { continue }
                onFrame(from, frame)
            } catch {
                // `closeCode` is what the node sent; 0 (invalid) if it sent nothing.
                return ended(from, code: from.socket.closeCode.rawValue)
            }
        }
    }

    /// The new connection takes over: what has no answer is repeated on it, in order. The one before, in a move, is let go.
    private func welcomed(_ new: Link, _ welcome: Json) {
        let state = link == nil ? "connected" : "moved"
        leaving = link
        link = new
        dialing = nil
        avoid = []
        session = welcome["session"] as? String
        spreadMs = welcome["retry_spread_ms"] as? Double ?? spreadMs
        new.patience = 2 * (welcome["heartbeat_ms"] as? Double ?? 25_000) / 1000 + slackSeconds
        for (topic, head) in welcome["topics"] as? [String: Json] ?? [:] {
            if let code = head["error"] as? String {
                onEvent(.status(state: "refused", detail: "\(topic): \(code)"))
            } else {
                stand(new, topic, head)
            }
        }
        for send in unanswered { new.write(send.frame) }
        letGo()
        onEvent(.status(state: state, detail: new.node))
    }

    /// `welcome` and `recovered` tell where a topic stands. That is the position, if there is none and nothing else was asked for.
    private func stand(_ at: Link, _ topic: String, _ head: Json) {
        topics.insert(topic)
        if head["recovered"] as? String == "pending" {
            at.pending.insert(topic)
            return  // its head may be another one by the time it has recovered
        }
        at.pending.remove(topic)
        if positions[topic] == nil, let epoch = head["epoch"] as? String, let offset = head["offset"] as? Int, !asked.contains(topic) || offset == 0 {
            positions[topic] = Position(epoch: epoch, offset: offset)
        }
    }

    private func letGo() {
        guard let old = leaving, link?.pending.isEmpty ?? true else { return }
        leaving = nil
        old.write(["op": "detach"])
        after(detachSeconds) { _ in old.socket.cancel(with: .normalClosure, reason: nil) }
    }

    private func ended(_ it: Link, code: Int) {
        guard !it.ended else { return }
        it.ended = true
        #if canImport(FoundationNetworking)
        let policy = Policy(said: it.said)  // closeCode is 1003 here for every code of ours
        #else
        let policy = Policy(closeCode: code)
        #endif
        if leaving === it { leaving = nil }
        if dialing === it {
            dialing = nil
            if link == nil && policy == .lost { avoid.append(it.node) }
            if link != nil { onEvent(.status(state: "move failed", detail: "\(code)")) }
        } else if link === it {
            link = nil
            if Date().timeIntervalSince(it.since) > healthySeconds { (failures, refreshed) = (0, false) }
            if policy == .stop { dialing?.socket.cancel() }
        } else {
            return
        }
        // If a move is under way it may still be the way out.
        guard link == nil, dialing == nil || policy == .stop else { return }
        again(policy, it.said?["code"] as? String ?? "close_\(code)", advice: it.said?["retry_after_ms"] as? Double)
    }

    private func stop(_ why: RingdialError) {
        guard !over else { return }
        over = true
        for one in [link, dialing, leaving] { one?.socket.cancel(with: .normalClosure, reason: nil) }
        for send in unanswered { send.answer.resume(throwing: why) }
        unanswered = []
        onEvent(.status(state: "closed", detail: why.code))
    }

    /// A node says `ping` before it is silent for long; after more silence than that the connection is lost.
    private func watch() async {
        while !over {
            try? await Task.sleep(nanoseconds: 1_000_000_000)
            if let link, Date().timeIntervalSince(link.heardAt) > link.patience { link.socket.cancel() }
        }
    }

    // MARK: Frames

    private func onFrame(_ from: Link, _ frame: Json) {
        switch frame["op"] as? String {
        case "welcome": welcomed(from, frame)
        case "message": message(frame)
        case "gap": gap(frame)
        case "recovered":
            stand(from, frame["topic"] as? String ?? "", frame)
            letGo()
        case "removed":
            let topic = frame["topic"] as? String ?? ""
            topics.remove(topic)
            positions[topic] = nil
            onEvent(.status(state: "refused", detail: "\(topic): removed"))
        case "ack": take(frame["ref"] as? Int)?.answer.resume(returning: frame)
        case "error":
            if let ref = frame["ref"] as? Int { refused(ref, frame) } else { from.said = frame }
        case "moved":
            after(.random(in: 0...(frame["spread_ms"] as? Double ?? 0)) / 1000) { client in await client.move(from, frame) }
        case "ping": from.write(["op": "pong"])
        default: break
        }
    }

    private func move(_ from: Link, _ offer: Json) {
        if link === from && dialing == nil { dial(offer) }
    }

    private func take(_ ref: Int?) -> Send? {
        guard let place = unanswered.firstIndex(where: { $0.ref == ref }) else { return nil }
        return unanswered.remove(at: place)
    }

    private func refused(_ ref: Int, _ error: Json) {
        if error["temporary"] as? Bool == true {
            after((error["retry_after_ms"] as? Double ?? 0) / 1000 + .random(in: 0...1)) { client in await client.repeatSend(ref) }
        } else {
            take(ref)?.answer.resume(throwing: RingdialError(code: error["code"] as? String ?? "", detail: error["message"] as? String ?? ""))
        }
    }

    private func repeatSend(_ ref: Int) {
        if let send = unanswered.first(where: { $0.ref == ref }) { link?.write(send.frame) }
    }

    /// Given to the application, if no connection has brought it yet.
    private func message(_ frame: Json) {
        guard let topic = frame["topic"] as? String, let from = frame["from"] as? String, let data = frame["data"] else { return }
        let epoch = frame["epoch"] as? String
        let offset = frame["offset"] as? Int
        if let epoch, let offset {
            if let here = positions[topic], here.epoch != epoch || here.offset >= offset { return }
            positions[topic] = Position(epoch: epoch, offset: offset)
        } else if let id = frame["id"] as? String, let dash = id.lastIndex(of: "-"), let counter = Int(id[id.index(after: dash)...]) {
            let origin = "\(topic) \(id[..<dash])"
            guard counter > seen[origin] ?? -1 else { return }
            seen[origin] = counter
        }
        onEvent(.message(Message(topic: topic, from: from, data: data, epoch: epoch, offset: offset)))
    }

    private func gap(_ frame: Json) {
        guard let topic = frame["topic"] as? String, let epoch = frame["epoch"] as? String, let after = frame["after"] as? Int,
            let before = frame["before"] as? Int, let reason = frame["reason"] as? String
        else { return }
        let here = positions[topic]
        let forward = here?.epoch == epoch && before - 1 > here?.offset ?? 0
        guard forward || reason == "log_lost" && here?.epoch != epoch else { return }  // another connection's gap said so already
        positions[topic] = Position(epoch: epoch, offset: before - 1)
        onEvent(.gap(topic: topic, after: after, before: before, reason: reason))
    }

    private func after(_ seconds: Double, _ work: @escaping (RingdialClient) async -> Void) {
        Task {
            try? await Task.sleep(nanoseconds: UInt64(seconds * 1e9))
            if !self.over { await work(self) }
        }
    }
}
