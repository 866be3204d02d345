package import Cryptography
package import Federation
package import Service
import Synchronization

/// What an operator sets of an aggregator.
package struct AggregatorConfiguration: Sendable {
  package static let program = "aggregator"

  package var service: ServiceConfiguration
  /// The one federation that it serves.
  package let plan: FederationPlan
  /// Its own pair, whose public half the charter names.
  package let key: KeyAgreement
  /// Name and version, as sites see them.
  package let software: String
  package let metrics: AggregatorMetrics
  /// Sums that keys are set up for at a time, 1 to 1024; fewer where they would take much memory.
  package var mostSumsOfSetUp = 1024

  package init(
    service: ServiceConfiguration, plan: FederationPlan, key: KeyAgreement, software: String,
    metrics: AggregatorMetrics = AggregatorMetrics()
  ) {
    self.service = service
    self.plan = plan
    self.key = key
    self.software = software
    self.metrics = metrics
  }
}

/// What an aggregator counts beside what every server counts.
package final class AggregatorMetrics: Sendable {
  private let sums = Atomic(0)
  private let rounds = Atomic(0)
  private let sitesHere = Atomic(0)
  private let uploadedBytes = Atomic(0)
  private let dropped = Atomic(0)

  package init() {}

  func countSum() { sums.wrappingAdd(1, ordering: .relaxed) }

  func countUploaded(bytes: Int) { uploadedBytes.wrappingAdd(bytes, ordering: .relaxed) }

  func countDropped() { dropped.wrappingAdd(1, ordering: .relaxed) }

  func publish(rounds: Int, sitesHere: Int) {
    self.rounds.store(rounds, ordering: .relaxed)
    self.sitesHere.store(sitesHere, ordering: .relaxed)
  }

  package func add(to text: inout MetricsText) {
    text.add("aggregator_sums_total", .counter, "Sums over the sites that this process has finished.", of: sums)
    text.add("aggregator_rounds", .gauge, "Rounds that the model has had.", of: rounds)
    text.add("aggregator_sites_connected", .gauge, "Sites that are here.", of: sitesHere)
    text.add(
      "aggregator_uploaded_bytes_total", .counter, "Bytes of uploads that sites have sent, also twice.",
      of: uploadedBytes)
    text.add(
      "aggregator_uploads_dropped_total", .counter, "Uploads that were not added: too late, or not what they say.",
      of: dropped)
  }
}
