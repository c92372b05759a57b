/*
 * A client of Ringdial in one file, for the JVM and Android: OkHttp, and kotlinx.serialization's JSON elements (no plugin).
 * It does what docs/PROTOCOL.md asks of a client: a lookup and a ticket for each attempt, positions in topics so that every
 * durable message is given once and in order, unanswered sends repeated with their keys, moves without a moment offline.
 */
package ringdial

import java.io.IOException
import java.util.UUID
import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.TimeUnit.MILLISECONDS
import kotlin.math.min
import kotlin.random.Random
import kotlinx.serialization.json.*
import okhttp3.*
import okhttp3.HttpUrl.Companion.toHttpUrl

sealed interface Event

/** `epoch` and `offset` are a durable message's place in the log. */
data class Message(val topic: String, val from: String, val data: JsonElement, val epoch: String?, val offset: Long?) : Event

/** The messages between `after` and `before` will never come: fetch your state anew. */
data class Gap(val topic: String, val after: Long, val before: Long, val reason: String) : Event

/** connected, moved, reconnecting, closed; refused: a topic that is not followed. */
data class Status(val state: String, val detail: String) : Event

class RingdialException(val code: String, message: String) : IOException("$code: $message")

private data class Position(val epoch: String, val offset: Long)

private class Send(val frame: JsonObject, val answer: CompletableFuture<JsonObject>)

private const val OPEN_MS = 8_000L // until `welcome`, which alone may take 2 s
private const val DETACH_MS = 2_000L
private const val SLACK_MS = 10_000L // beyond two heartbeats of silence
private const val HEALTHY_MS = 30_000L // a connection that held for so long clears the count of failures
private const val UNANSWERED_MAX = 256

/**
 * [token] is asked before every lookup, on a thread of its own; null where ids are taken without tokens. [onEvent] is called on the client's
 * own thread. One's own inbox and the [groups] are read from the beginning of the log, or, without [fromBeginning], from now on.
 */
class RingdialClient(
    private val lookup: String,
    private val user: String,
    groups: Set<String> = emptySet(),
    private val fromBeginning: Boolean = true,
    private val token: () -> String? = { null },
    private val onEvent: (Event) -> Unit,
) : AutoCloseable {
    private val http = OkHttpClient.Builder().callTimeout(10_000, MILLISECONDS).build()
    private val sockets = http.newBuilder().callTimeout(0, MILLISECONDS).readTimeout(0, MILLISECONDS).build()

    // Everything below belongs to this one thread.
    private val loop = Executors.newSingleThreadScheduledExecutor { Thread(it, "ringdial").apply { isDaemon = true } }
    private val named = groups.mapTo(LinkedHashSet()) { "g:$it" }.apply { add("u:$user") }
    private val topics = LinkedHashSet(named) // those of the token, and those that the back end gave, come to them
    private val positions = HashMap<String, Position>()
    private val seen = HashMap<Pair<String, String>, Long>() // topic and origin of ephemeral messages -> the last counter
    private val unanswered = LinkedHashMap<Long, Send>()
    private val avoid = LinkedHashSet<String>()
    private var refs = 0L
    private var link: Link? = null
    private var dialing: Link? = null
    private var leaving: Link? = null
    private var session: String? = null
    private var failures = 0
    private var refreshed = false
    private var baseMs = 500L
    private var maxMs = 30_000L
    private var spreadMs = 500L
    private var over = false

    init {
        post { lookUp() }
        loop.scheduleWithFixedDelay({ link?.let { if (it.silentMs() > it.patienceMs) it.socket.cancel() } }, 1_000, 1_000, MILLISECONDS)
    }

    /** Completes with the ack of a durable send. It is repeated with its key over reconnects, and after temporary errors. */
    fun send(to: JsonObject, data: JsonElement, key: String = UUID.randomUUID().toString()): CompletableFuture<JsonObject> {
        val answer = CompletableFuture<JsonObject>()
        post {
            if (over || unanswered.size >= UNANSWERED_MAX) {
                answer.completeExceptionally(RingdialException(if (over) "closed" else "outbox_full", "not sent"))
            } else {
                val ref = ++refs
                val frame = buildJsonObject { put("op", "send"); put("ref", ref); put("to", to); put("data", data); put("key", key) }
                unanswered[ref] = Send(frame, answer)
                link?.write(frame)
            }
        }
        return answer
    }

    override fun close() = post { stop(RingdialException("closed", "by close()")) }

    // === Looking up ===

    private fun lookUp() {
        if (over) return
        val url = lookup.toHttpUrl().newBuilder().addQueryParameter("id", user)
        avoid.forEach { url.addQueryParameter("avoid", it) }
        CompletableFuture.supplyAsync(token).whenComplete { bearer, failed ->
            if (failed != null) return@whenComplete post { again("later", "token_failed") }
            val request = Request.Builder().url(url.build())
            if (bearer != null) request.header("Authorization", "Bearer $bearer")
            http.newCall(request.build()).enqueue(object : Callback {
                override fun onFailure(call: Call, e: IOException) = post { again("later", "lookup_failed: $e") }

                override fun onResponse(call: Call, response: Response) {
                    val body = runCatching { response.use { Json.parseToJsonElement(it.body.string()).jsonObject } }.getOrDefault(JsonObject(emptyMap()))
                    post { answered(response.code, body, response.header("Retry-After")) }
                }
            })
        }
    }

    private fun answered(status: Int, body: JsonObject, retryAfter: String?) {
        if (status == 200 && isGrant(body)) {
            body["retry"]?.jsonObject?.let { baseMs = it.long("base_ms") ?: baseMs; maxMs = it.long("max_ms") ?: maxMs }
            return dial(body)
        }
        val policy = if (status == 401) "refresh" else if (body["temporary"]?.jsonPrimitive?.booleanOrNull == false) "stop" else "later"
        again(policy, "${body.text("code") ?: status}", body.long("retry_after_ms") ?: retryAfter?.toLongOrNull()?.times(1000))
    }

    /** What stands in between may answer anything: a page to sign in to the network, say. */
    private fun isGrant(body: JsonObject) = runCatching {
        Request.Builder().url(body.text("url")!!)
        body.text("node") != null && body["protocols"] is JsonArray
    }.getOrDefault(false)

    /** The next attempt, or the end. Full jitter; the first loss of a connection spreads as the node had said. */
    private fun again(policy: String, why: String, adviceMs: Long? = null) {
        if (over) return
        if (policy == "stop" || policy == "refresh" && refreshed) return stop(RingdialException(why, "the application must act"))
        if (policy == "refresh") refreshed = true
        val wait = when {
            adviceMs != null -> adviceMs + upTo(baseMs)
            failures == 0 && policy in setOf("now", "refresh") -> 0
            failures == 0 && policy == "lost" -> upTo(spreadMs)
            else -> upTo(min(maxMs, baseMs shl min(failures, 20)))
        }
        failures++
        onEvent(Status("reconnecting", why))
        after(wait) { lookUp() }
    }

    // === Connections ===

    /** By the answer of a lookup, or by `moved`. */
    private fun dial(grant: JsonObject) {
        val made = Link(grant.text("node")!!)
        dialing = made
        val request = Request.Builder().url(grant.text("url")!!).header("Sec-WebSocket-Protocol", grant["protocols"]!!.jsonArray.joinToString(", ") { it.jsonPrimitive.content })
        made.socket = sockets.newWebSocket(request.build(), made)
        after(OPEN_MS) { if (dialing === made) made.socket.cancel() }
    }

    private fun hello() = buildJsonObject {
        put("op", "hello")
        session?.let { put("replaces", it) }
        val (resumed, others) = topics.partition { it in positions || isAsked(it) }
        putJsonObject("resume") {
            for (topic in resumed) putJsonObject(topic) { positions[topic]?.let { put("epoch", it.epoch) }; put("offset", positions[topic]?.offset ?: 0) }
        }
        putJsonArray("groups") { others.filter { it.startsWith("g:") }.forEach { add(it.drop(2)) } }
    }

    /** The new connection takes over: what has no answer is repeated on it, in order. The one before, in a move, is let go. */
    private fun welcomed(new: Link, welcome: JsonObject) {
        val state = if (link == null) "connected" else "moved"
        leaving = link
        link = new
        dialing = null
        avoid.clear()
        session = welcome.text("session")
        spreadMs = welcome.long("retry_spread_ms")!!
        new.patienceMs = 2 * welcome.long("heartbeat_ms")!! + SLACK_MS
        for ((topic, head) in welcome["topics"]!!.jsonObject) {
            val refusal = head.jsonObject.text("error")
            if (refusal == null) stand(new, topic, head.jsonObject) else onEvent(Status("refused", "$topic: $refusal"))
        }
        unanswered.values.forEach { new.write(it.frame) }
        letGo()
        onEvent(Status(state, new.node))
    }

    /** `welcome` and `recovered` tell where a topic stands. That is the position, if there is none and nothing else was asked for. */
    private fun stand(at: Link, topic: String, head: JsonObject) {
        topics += topic
        // Its head may be another one by the time it has recovered.
        if (head.text("recovered") == "pending") return at.pending.plusAssign(topic)
        at.pending -= topic
        val there = head.text("epoch")?.let { Position(it, head.long("offset")!!) }
        if (there != null && (!isAsked(topic) || there.offset == 0L)) positions.putIfAbsent(topic, there)
    }

    /** Whether all of it is wanted. */
    private fun isAsked(topic: String) = fromBeginning && topic in named

    private fun letGo() {
        val old = leaving ?: return
        if (link?.pending.orEmpty().isNotEmpty()) return
        leaving = null
        old.write(buildJsonObject { put("op", "detach") })
        after(DETACH_MS) { old.socket.close(1000, null) }
    }

    private fun ended(it: Link, code: Int) {
        if (it.ended) return
        it.ended = true
        val policy = if (code == 4401) "refresh" else mapOf(40 to "now", 41 to "later", 44 to "stop")[code / 100] ?: "lost"
        if (leaving === it) leaving = null
        if (dialing === it) {
            dialing = null
            if (link == null && policy == "lost") avoid += it.node
            if (link != null) onEvent(Status("move failed", "$code"))
        } else if (link === it) {
            link = null
            if (it.ageMs() > HEALTHY_MS) { failures = 0; refreshed = false }
            if (policy == "stop") dialing?.socket?.cancel()
        } else return
        // If a move is under way it may still be the way out.
        if (link == null && (dialing == null || policy == "stop")) again(policy, it.said?.text("code") ?: "close_$code", it.said?.long("retry_after_ms"))
    }

    private fun stop(why: RingdialException) {
        if (over) return
        over = true
        listOfNotNull(link, dialing, leaving).forEach { it.socket.close(1000, null) }
        unanswered.values.forEach { it.answer.completeExceptionally(why) }
        unanswered.clear()
        onEvent(Status("closed", why.code))
        sockets.dispatcher.executorService.shutdown()
        loop.shutdown()
    }

    // === Frames ===

    private fun onFrame(from: Link, frame: JsonObject) {
        val ref = frame.long("ref")
        when (frame.text("op")) {
            "welcome" -> welcomed(from, frame)
            "message" -> if (isNew(frame)) {
                onEvent(Message(frame.text("topic")!!, frame.text("from")!!, frame["data"]!!, frame.text("epoch"), frame.long("offset")))
            }
            "gap" -> gap(frame)
            "recovered" -> { stand(from, frame.text("topic")!!, frame); letGo() }
            "removed" -> frame.text("topic")!!.let { topics -= it; positions -= it; onEvent(Status("refused", "$it: removed")) }
            "ack" -> unanswered.remove(ref)?.answer?.complete(frame)
            "error" -> if (ref == null) from.said = frame else refused(ref, frame)
            "moved" -> after(upTo(frame.long("spread_ms")!!)) { if (link === from && dialing == null) dial(frame) }
            "ping" -> from.write(buildJsonObject { put("op", "pong") })
        }
    }

    private fun refused(ref: Long, error: JsonObject) {
        val send = unanswered[ref] ?: return
        if (error["temporary"]!!.jsonPrimitive.boolean) {
            after((error.long("retry_after_ms") ?: 0) + upTo(1_000)) { if (ref in unanswered) link?.write(send.frame) }
        } else {
            unanswered.remove(ref)
            send.answer.completeExceptionally(RingdialException(error.text("code")!!, error.text("message")!!))
        }
    }

    /** Whether no connection has brought it yet. */
    private fun isNew(frame: JsonObject): Boolean {
        val topic = frame.text("topic")!!
        val offset = frame.long("offset")
        if (offset == null) {
            val (origin, counter) = frame.text("id")!!.let { it.substringBeforeLast('-') to it.substringAfterLast('-').toLong() }
            return (seen[topic to origin] ?: -1) < counter && true.also { seen[topic to origin] = counter }
        }
        val here = positions[topic]
        if (here != null && (here.epoch != frame.text("epoch") || here.offset >= offset)) return false
        positions[topic] = Position(frame.text("epoch")!!, offset)
        return true
    }

    private fun gap(frame: JsonObject) {
        val topic = frame.text("topic")!!
        val there = Position(frame.text("epoch")!!, frame.long("before")!! - 1)
        val here = positions[topic]
        val forward = here?.epoch == there.epoch && there.offset > here.offset
        if (!forward && (frame.text("reason") != "log_lost" || here?.epoch == there.epoch)) return // another connection's gap said so already
        positions[topic] = there
        onEvent(Gap(topic, frame.long("after")!!, there.offset + 1, frame.text("reason")!!))
    }

    // === Link ===

    private inner class Link(val node: String) : WebSocketListener() {
        lateinit var socket: WebSocket
        val pending = HashSet<String>()
        var patienceMs = Long.MAX_VALUE
        var said: JsonObject? = null // the error that announced the end
        var ended = false
        private val since = System.nanoTime()
        @Volatile private var heardAt = since

        fun write(frame: JsonObject) = socket.send(frame.toString())
        fun silentMs() = (System.nanoTime() - heardAt) / 1_000_000
        fun ageMs() = (System.nanoTime() - since) / 1_000_000

        override fun onOpen(webSocket: WebSocket, response: Response) = post { write(hello()) }

        override fun onMessage(webSocket: WebSocket, text: String) {
            heardAt = System.nanoTime()
            post { onFrame(this, Json.parseToJsonElement(text).jsonObject) }
        }

        override fun onClosing(webSocket: WebSocket, code: Int, reason: String) {
            webSocket.close(1000, null)
            post { ended(this, code) }
        }

        override fun onFailure(webSocket: WebSocket, t: Throwable, response: Response?) = post { ended(this, 1006) }
    }

    // === Small things ===

    private fun post(work: () -> Unit) = after(0, work)

    private fun after(ms: Long, work: () -> Unit) {
        try {
            loop.schedule({ if (!over) runCatching(work).onFailure { Thread.currentThread().run { uncaughtExceptionHandler.uncaughtException(this, it) } } }, ms, MILLISECONDS)
        } catch (_: RejectedExecutionException) {
            // It is closed.
        }
    }

    private fun upTo(ms: Long) = if (ms > 0) Random.nextLong(ms) else 0

    private fun JsonObject.text(name: String) = (this[name] as? JsonPrimitive)?.contentOrNull

    private fun JsonObject.long(name: String) = (this[name] as? JsonPrimitive)?.longOrNull
}
