import JobSpec
import Masking
import Models
import OwnerRole

/// What a site reads before its provider is sent anything.
enum ProviderNotice {
  /// A line each: what a provider sees of any job, and what is so of a federation alone.
  static func lines(_ prepared: PreparedJob, _ charter: Charter) -> [String] {
    let report = PlanReport(prepared)
    let head = "the provider at \(prepared.job.trainer) sees, masking \(prepared.job.masking.strength.rawValue):"
    let seen = [head] + (report.trainerSees + others(charter)).map { "  \($0)" }
    guard prepared.job.masking.strength != .none else { return seen }
    return seen + [
      "  the masked model before and after each round, all under one key of this run: so also how the other sites moved it",
      "  with the charter: which row of the file comes in which batch, since a federation's batches follow from it",
      "whoever has a round's model in the clear and masked works the masks out, and with them the rows: so no site of the federation may be "
        + "in league with this provider, and none of its models be published while the masked rows must stay masked",
    ] + report.notices
  }

  /// What the charter's rules add to it.
  private static func others(_ charter: Charter) -> [String] {
    var lines: [String] = []
    if charter.federation.strategy.kind.hasControlVariates {
      lines.append("for each round how the direction of all sites differs from this site's, masked as the model is")
    }
    switch charter.federation.privacy?.unit {
    case .record:
      lines.append(
        "the noise of every step, which it adds itself, each row's gradient norm, and who is in a batch: against the provider ε says nothing"
      )
    case .site: lines.append("this site's update before it has its noise, masked: against the provider ε says nothing")
    case nil: break
    }
    return lines
  }
}
