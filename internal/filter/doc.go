// Package filter is RocketMQ's SQL92 message filter: an expression over a message's properties, such as
//
//	(price BETWEEN 10 AND 20 OR vip IS NOT NULL) AND region IN ('eu', 'us') AND NOT note CONTAINS 'test'
//
// The grammar is in sql.y, from which goyacc makes the parser sql.go; lexer.go gives it the words. Parse checks what Apache checks
// when a consumer subscribes, and makes a small tree (tree.go), which eval.go walks for each message over the properties as they lie
// in its record, without allocating.
//
// # What is peculiar to it
//
// It is the grammar of JMS selectors without arithmetic and LIKE, and it was made for Java objects. That shows:
//
//   - A property is a string. What it is compared with decides how it is read: 5 reads it as a 32-bit integer, 3000000000 as a 64-bit
//     one, 5.0 as a floating-point number, TRUE as a boolean. One that cannot be read so makes the whole evaluation fail, and the
//     message is not delivered, even where an OR would have made it true: a > 5 fails for a=5.5, but a > 5.0 does not.
//   - Logic has three values. What is compared with a property that is not there is NULL, and only TRUE delivers. But x = y is
//     TRUE when neither is there, and FALSE when only y is not.
//   - CONTAINS and its like are FALSE for a property that is not there, also after NOT: x NOT CONTAINS 'a' is FALSE without x.
//   - A property alone is FALSE when it is there and NULL when not, whatever it says; write x = TRUE.
//   - The parser stops at the first word that cannot go on with the expression, and what follows is not looked at: a > 1 b > 2
//     is a > 1. Ignored tells what was left.
//
// A test in interop compares all this with Apache's own evaluator over thousands of expressions.
//
// bloom.go is the Bloom filter over groups by which a broker may keep, in ConsumeQueueExt, which groups want a message.
package filter
