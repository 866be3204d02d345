package import Exposure

extension PreparedJob {
  /// What of this job decides how it can be attacked.
  package var traits: JobTraits { shape.traits(rows: plan.totalRows) }
}
