"""The words from which `sql_analytics` builds statements: functions, types, names, operators."""

FUNCTIONS = """abs acos any_value approx_count_distinct array_agg array_append array_contains
 array_length ascii asin atan avg bit_and bit_or bit_length btrim cardinality cast ceil ceiling
 char char_length chr coalesce collect_list concat concat_ws contains corr cos count count_if
 covar_pop
 cume_dist current_date curdate date date_add date_diff date_format date_part date_sub date_trunc
 datediff dateadd day dayofweek dense_rank element_at exp explode extract first_value flatten floor
 format from_unixtime from_base64 generate_series get_json_object greatest group_concat grouping
 hash hex hour if iff ifnull initcap instr isnull json_agg json_array json_build_object json_extract
 json_object json_value jsonb_set lag last_day last_value lead least left len length listagg ln
 locate log log2 lower lpad ltrim make_date map max max_by md5 median min minute mod month
 nth_value ntile nullif nvl octet_length ord parse_json percent_rank percentile_cont position pow
 power quarter
 rand random rank regexp_extract regexp_like regexp_replace repeat replace reverse right round
 row_number rpad rtrim second sequence sha1 sha2 sign sin split split_part sqrt st_distance stddev
 str_to_date strftime string_agg strpos struct substr substring sum tan time_bucket timestamp_trunc
 to_char
 to_date to_json to_number to_timestamp translate trim trunc try_cast typeof unhex unix_timestamp
 unnest upper uuid var_pop variance version week width_bucket year zeroifnull soundex space
 sleeptime
 my_function dbo.fn_total util.parse analytics.score""".split()
TYPES = """int integer bigint smallint tinyint text varchar(20) varchar(255) char(3) boolean date
 timestamp timestamptz datetime time decimal(10,2) numeric double float real json jsonb uuid blob
 bytea nvarchar(max) bit array<int> map<varchar,int> struct<a:int> int[] interval serial money
 unsigned geometry string bytes binary(16) int64 float64""".split()
SHORT = list("abcdxyztuvwpq") + [
    "t1",
    "t2",
    "foo",
    "bar",
    "baz",
    "tbl",
    "cte",
    "src",
    "x1",
    "col1",
    "ss_item_sk",
    "l_orderkey",
    "o_totalprice",
    "d_year",
    "i_brand_id",
    "c_custkey",
    "_id",
]
SET_OPERATIONS = ["UNION", "UNION ALL", "UNION ALL", "EXCEPT", "INTERSECT", "UNION DISTINCT"]
OPERATORS = [
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "&",
    "|",
    "<<",
    "^",
    "->",
    "->>",
    "#>",
    "DIV",
    "::",
    "@>",
]
COMPARE = [
    "=",
    "=",
    "<",
    ">",
    "<=",
    ">=",
    "<>",
    "!=",
    "IS DISTINCT FROM",
    "~",
    "<=>",
    "==",
    "LIKE",
    "ILIKE",
]

QUOTED_TALK = [
    "When I run \"{q}\" I get an error near '{n}'. What's wrong?",
    "How to write {q} in {n}?",
    "The statement {q} returns nothing although {n} exists.",
    "In the docs: `{q}` - is that right?",
    "Try this:\n{q}\nand tell me what {n} says",
    "{q} vs a view, which is faster?",
    "Explain the difference: {q}",
    "note to self: {q}",
    "Ticket {i}: rewrite {q} so that it doesn't lock the {n}.",
]
