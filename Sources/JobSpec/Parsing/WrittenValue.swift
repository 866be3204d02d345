/// A checked value and where it was written.
struct WrittenValue: Sendable, Equatable {
  let value: JobValue
  let location: SourceLocation
}
