// Gradle, for a project of one's own: `gradle run --args="http://127.0.0.1:7000/lookup alice bob"`.
plugins {
    kotlin("jvm") version "2.3.10"
    application
}

repositories { mavenCentral() }

dependencies {
    implementation("com.squareup.okhttp3:okhttp:5.5.0")
    implementation("org.jetbrains.kotlinx:kotlinx-serialization-json:1.9.0")
}

kotlin { sourceSets["main"].kotlin.srcDir(".") }

application { mainClass.set("ringdial.ChatKt") }

tasks.named<JavaExec>("run") { standardInput = System.`in` }
