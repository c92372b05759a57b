/*
 * A chat in a terminal, on Ringdial.kt: LOOKUP ME TO, where TO is a user, or g: and a group. Each line of input is sent. Output:
 * `TOPIC #OFFSET SENDER: TEXT` for a message, `sent #OFFSET` once one's own is stored; what happens to the connection is told
 * on stderr. The application's token, if the service wants one, is in RINGDIAL_TOKEN.
 */
package ringdial

import java.util.concurrent.CompletableFuture
import kotlin.system.exitProcess
import kotlinx.serialization.json.*

fun main(args: Array<String>) {
    if (args.size != 3) {
        System.err.println("usage: LOOKUP ME TO")
        exitProcess(2)
    }
    val (lookup, me, to) = args
    val group = to.removePrefix("g:").takeIf { to.startsWith("g:") }
    val client = RingdialClient(lookup, me, setOfNotNull(group), token = { System.getenv("RINGDIAL_TOKEN") }) { event ->
        when (event) {
            is Message -> println("${event.topic} #${event.offset ?: "-"} ${event.from}: ${text(event.data)}")
            is Gap -> println("${event.topic}: messages ${event.after + 1} to ${event.before - 1} are missing (${event.reason})")
            is Status -> System.err.println("${event.state}: ${event.detail}")
        }
    }
    var told = CompletableFuture.completedFuture<Unit>(Unit)
    for (line in generateSequence(::readLine)) {
        val target = buildJsonObject { if (group != null) put("group", group) else put("user", to) }
        val sent = client.send(target, buildJsonObject { put("text", line) })
        told = told.thenCombine(sent.handle { ack, error -> if (error == null) "sent #${ack["offset"]}" else "not sent: ${error.message}" }) { _, outcome -> println(outcome) }
    }
    told.get()
    client.close()
}

private fun text(data: JsonElement) = ((data as? JsonObject)?.get("text") as? JsonPrimitive)?.content ?: data.toString()
