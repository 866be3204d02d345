/// What the paths of a job are relative to.
struct JobPlaces {
  /// Absolute directory of the job's own file.
  let job: String
  /// Absolute directory that paths of command-line overrides are relative to.
  let working: String
  let mustExist: Bool

  func absolute(_ path: String, at location: SourceLocation) -> String {
    JobPath.absolute(path, in: location.isOverride ? working : job)
  }
}
