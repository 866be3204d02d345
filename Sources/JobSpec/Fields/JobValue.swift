/// A value of a job specification after its type and range were checked.
enum JobValue: Sendable, Equatable {
  case integer(Int)
  case number(Double)
  case boolean(Bool)
  case text(String)
  case integers([Int])
  case texts([String])
  /// An optional number that the job turns off by writing `none`.
  case none
}
