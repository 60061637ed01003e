//! Numbers of PCF with MQ's names (IBM MQ Reference, "Constants": MQCMD_*, MQIACF_*, MQRCCF_*, ...).

/// MQCFOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Operator {
    Less = 1,
    Equal = 2,
    NotGreater = 3,
    Greater = 4,
    NotEqual = 5,
    NotLess = 6,
    Contains = 10,
    Excludes = 13,
    Like = 18,
    NotLike = 21,
    ContainsGeneric = 26,
    ExcludesGeneric = 29,
}

const OPERATORS: [Operator; 12] = [
    Operator::Less,
    Operator::Equal,
    Operator::NotGreater,
    Operator::Greater,
    Operator::NotEqual,
    Operator::NotLess,
    Operator::Contains,
    Operator::Excludes,
    Operator::Like,
    Operator::NotLike,
    Operator::ContainsGeneric,
    Operator::ExcludesGeneric,
];

impl Operator {
    pub fn from_number(number: i32) -> Option<Operator> {
        OPERATORS.into_iter().find(|operator| *operator as i32 == number)
    }
}

/// MQCMD.
pub mod command {
    pub const CHANGE_Q_MGR: i32 = 1;
    pub const INQUIRE_Q_MGR: i32 = 2;
    pub const CHANGE_Q: i32 = 8;
    pub const CLEAR_Q: i32 = 9;
    pub const COPY_Q: i32 = 10;
    pub const CREATE_Q: i32 = 11;
    pub const DELETE_Q: i32 = 12;
    pub const INQUIRE_Q: i32 = 13;
    pub const REFRESH_Q_MGR: i32 = 16;
    pub const INQUIRE_Q_NAMES: i32 = 18;
    pub const INQUIRE_CHANNEL_NAMES: i32 = 20;
    pub const CHANGE_CHANNEL: i32 = 21;
    pub const COPY_CHANNEL: i32 = 22;
    pub const CREATE_CHANNEL: i32 = 23;
    pub const DELETE_CHANNEL: i32 = 24;
    pub const INQUIRE_CHANNEL: i32 = 25;
    pub const START_CHANNEL: i32 = 28;
    pub const STOP_CHANNEL: i32 = 29;
    pub const START_CHANNEL_LISTENER: i32 = 31;
    pub const ESCAPE: i32 = 38;
    pub const PING_Q_MGR: i32 = 40;
    pub const INQUIRE_Q_STATUS: i32 = 41;
    pub const INQUIRE_CHANNEL_STATUS: i32 = 42;
    pub const REFRESH_SECURITY: i32 = 78;
    pub const CHANGE_AUTH_INFO: i32 = 79;
    pub const COPY_AUTH_INFO: i32 = 80;
    pub const CREATE_AUTH_INFO: i32 = 81;
    pub const DELETE_AUTH_INFO: i32 = 82;
    pub const INQUIRE_AUTH_INFO: i32 = 83;
    pub const INQUIRE_AUTH_INFO_NAMES: i32 = 84;
    pub const INQUIRE_CONNECTION: i32 = 85;
    pub const INQUIRE_AUTH_RECS: i32 = 87;
    pub const DELETE_AUTH_REC: i32 = 89;
    pub const SET_AUTH_REC: i32 = 90;
    pub const CHANGE_LISTENER: i32 = 93;
    pub const COPY_LISTENER: i32 = 94;
    pub const CREATE_LISTENER: i32 = 95;
    pub const DELETE_LISTENER: i32 = 96;
    pub const INQUIRE_LISTENER: i32 = 97;
    pub const INQUIRE_LISTENER_STATUS: i32 = 98;
    pub const STOP_CHANNEL_LISTENER: i32 = 142;
    pub const INQUIRE_Q_MGR_STATUS: i32 = 161;
    pub const CHANGE_TOPIC: i32 = 170;
    pub const COPY_TOPIC: i32 = 171;
    pub const CREATE_TOPIC: i32 = 172;
    pub const DELETE_TOPIC: i32 = 173;
    pub const INQUIRE_TOPIC: i32 = 174;
    pub const INQUIRE_TOPIC_NAMES: i32 = 175;
    pub const INQUIRE_SUBSCRIPTION: i32 = 176;
    pub const CREATE_SUBSCRIPTION: i32 = 177;
    pub const CHANGE_SUBSCRIPTION: i32 = 178;
    pub const DELETE_SUBSCRIPTION: i32 = 179;
    pub const COPY_SUBSCRIPTION: i32 = 181;
    pub const SET_CHLAUTH_REC: i32 = 203;
    pub const INQUIRE_CHLAUTH_RECS: i32 = 204;
}

/// Parameters that are no attributes of an object in the table of [`crate::attribute`].
pub mod parameter {
    pub const Q_TYPE: i32 = 20;
    pub const Q_MGR_NAME: i32 = 2015;
    pub const Q_NAME: i32 = 2016;
    pub const Q_MGR_ATTRS: i32 = 1001;
    pub const Q_ATTRS: i32 = 1002;
    pub const FORCE: i32 = 1005;
    pub const REPLACE: i32 = 1006;
    pub const PURGE: i32 = 1007;
    pub const MODE: i32 = 1008;
    /// Among the attributes that are asked for: all of them.
    pub const ALL: i32 = 1009;
    /// Of an error: which parameter is meant.
    pub const PARAMETER_ID: i32 = 1012;
    pub const CHANNEL_ATTRS: i32 = 1015;
    pub const OBJECT_TYPE: i32 = 1016;
    pub const ESCAPE_TYPE: i32 = 1017;
    pub const AUTH_INFO_ATTRS: i32 = 1019;
    pub const Q_STATUS_ATTRS: i32 = 1026;
    pub const REFRESH_TYPE: i32 = 1078;
    pub const ACTION: i32 = 1086;
    pub const REFRESH_INTERVAL: i32 = 1094;
    pub const Q_STATUS_TYPE: i32 = 1103;
    pub const Q_HANDLE: i32 = 1104;
    pub const Q_STATUS: i32 = 1105;
    pub const CONNECTION_ATTRS: i32 = 1107;
    pub const SECURITY_TYPE: i32 = 1106;
    pub const CONN_INFO_TYPE: i32 = 1110;
    pub const CONN_INFO_CONN: i32 = 1111;
    pub const AUTH_PROFILE_ATTRS: i32 = 1114;
    pub const AUTH_ADD_AUTHS: i32 = 1116;
    pub const AUTH_REMOVE_AUTHS: i32 = 1117;
    pub const ENTITY_TYPE: i32 = 1118;
    pub const LISTENER_ATTRS: i32 = 1222;
    pub const LISTENER_STATUS_ATTRS: i32 = 1223;
    pub const AUTH_OPTIONS: i32 = 1228;
    pub const Q_MGR_STATUS_ATTRS: i32 = 1229;
    pub const Q_TYPES: i32 = 1261;
    pub const TOPIC_ATTRS: i32 = 1269;
    pub const SUB_ATTRS: i32 = 1287;
    pub const CHLAUTH_TYPE: i32 = 1352;
    pub const CHLAUTH_ATTRS: i32 = 1355;
    pub const REMOVE_AUTHREC: i32 = 1398;
    pub const IGNORE_STATE: i32 = 1423;
    pub const Q_MGR_STATUS_INFO_TYPE: i32 = 1445;
    pub const Q_MGR_STATUS_INFO_Q_MGR: i32 = 1446;
    pub const Q_MGR_STATUS_INFO_NHA: i32 = 1447;
    /// MQRT_CONFIGURATION: what is to be refreshed.
    pub const REFRESH_CONFIGURATION: i32 = 1;
    pub const CHANNEL_TYPE: i32 = 1511;
    pub const CHANNEL_INSTANCE_TYPE: i32 = 1523;
    pub const CHANNEL_INSTANCE_ATTRS: i32 = 1524;
    pub const CHANNEL_TABLE: i32 = 1526;
    pub const CHANNEL_STATUS: i32 = 1527;
    pub const CHANNEL_TYPES: i32 = 1582;
    pub const MATCH: i32 = 1637;
    pub const Q_NAMES: i32 = 3011;
    pub const ESCAPE_TEXT: i32 = 3014;
    pub const OBJECT_NAME: i32 = 3046;
    pub const AUTH_INFO_NAMES: i32 = 3048;
    pub const PRINCIPAL_ENTITY_NAMES: i32 = 3065;
    pub const GROUP_ENTITY_NAMES: i32 = 3066;
    pub const AUTH_PROFILE_NAME: i32 = 3067;
    pub const ENTITY_NAME: i32 = 3068;
    pub const TOPIC_NAMES: i32 = 3151;
    pub const CHANNEL_NAME: i32 = 3501;
    pub const CONNECTION_NAME: i32 = 3506;
    pub const CHANNEL_NAMES: i32 = 3512;
    pub const LISTENER_NAME: i32 = 3554;
    pub const CONNECTION_ID: i32 = 7006;
    pub const GENERIC_CONNECTION_ID: i32 = 7007;
}

/// MQRC and MQRCCF.
pub mod reason {
    pub const UNKNOWN_OBJECT_NAME: u32 = 2085;
    pub const FUNCTION_NOT_SUPPORTED: u32 = 2298;
    pub const CFH_TYPE_ERROR: u32 = 3001;
    pub const CFH_LENGTH_ERROR: u32 = 3002;
    pub const CFH_VERSION_ERROR: u32 = 3003;
    pub const CFH_MSG_SEQ_NUMBER_ERR: u32 = 3004;
    pub const CFH_CONTROL_ERROR: u32 = 3005;
    pub const CFH_PARM_COUNT_ERROR: u32 = 3006;
    pub const CFH_COMMAND_ERROR: u32 = 3007;
    pub const COMMAND_FAILED: u32 = 3008;
    pub const CFIN_LENGTH_ERROR: u32 = 3009;
    pub const CFST_LENGTH_ERROR: u32 = 3010;
    pub const CFST_STRING_LENGTH_ERR: u32 = 3011;
    pub const STRUCTURE_TYPE_ERROR: u32 = 3013;
    pub const CFIN_PARM_ID_ERROR: u32 = 3014;
    pub const CFST_PARM_ID_ERROR: u32 = 3015;
    pub const MSG_LENGTH_ERROR: u32 = 3016;
    pub const CFIN_DUPLICATE_PARM: u32 = 3017;
    pub const CFST_DUPLICATE_PARM: u32 = 3018;
    pub const Q_TYPE_ERROR: u32 = 3022;
    pub const MD_FORMAT_ERROR: u32 = 3023;
    pub const CFSL_LENGTH_ERROR: u32 = 3024;
    pub const CFIL_COUNT_ERROR: u32 = 3027;
    pub const CFIL_LENGTH_ERROR: u32 = 3028;
    pub const CFSL_PARM_ID_ERROR: u32 = 3033;
    pub const CHANNEL_TYPE_ERROR: u32 = 3034;
    pub const CFIL_PARM_ID_ERROR: u32 = 3047;
    pub const CCSID_ERROR: u32 = 3049;
    pub const ESCAPE_TYPE_ERROR: u32 = 3054;
    pub const CHL_INST_TYPE_ERROR: u32 = 3064;
    pub const CHL_STATUS_NOT_FOUND: u32 = 3065;
    pub const CFSL_TOTAL_LENGTH_ERROR: u32 = 3067;
    pub const CFSL_COUNT_ERROR: u32 = 3068;
    pub const CFSL_STRING_LENGTH_ERR: u32 = 3069;
    pub const ENTITY_NAME_MISSING: u32 = 3169;
    pub const PROFILE_NAME_ERROR: u32 = 3170;
    pub const AUTH_VALUE_ERROR: u32 = 3171;
    pub const AUTH_VALUE_MISSING: u32 = 3172;
    pub const OBJECT_TYPE_MISSING: u32 = 3173;
    pub const CONNECTION_ID_ERROR: u32 = 3174;
    pub const PARM_MISSING: u32 = 3228;
    pub const PARM_VALUE_ERROR: u32 = 3229;
    pub const LISTENER_STOPPED: u32 = 3234;
    pub const CFGR_PARM_ID_ERROR: u32 = 3240;
    pub const CFIF_LENGTH_ERROR: u32 = 3241;
    pub const CFIF_OPERATOR_ERROR: u32 = 3242;
    pub const CFIF_PARM_ID_ERROR: u32 = 3243;
    pub const CFSF_FILTER_VAL_LEN_ERR: u32 = 3244;
    pub const CFSF_LENGTH_ERROR: u32 = 3245;
    pub const CFSF_OPERATOR_ERROR: u32 = 3246;
    pub const CFSF_PARM_ID_ERROR: u32 = 3247;
    pub const LISTENER_RUNNING: u32 = 3249;
    pub const LSTR_STATUS_NOT_FOUND: u32 = 3250;
    pub const CFBS_LENGTH_ERROR: u32 = 3255;
    pub const CFBS_PARM_ID_ERROR: u32 = 3256;
    pub const CFBS_STRING_LENGTH_ERR: u32 = 3257;
    pub const CFGR_LENGTH_ERROR: u32 = 3258;
    pub const CFGR_PARM_COUNT_ERROR: u32 = 3259;
    pub const CFBF_LENGTH_ERROR: u32 = 3264;
    pub const CFBF_PARM_ID_ERROR: u32 = 3265;
    pub const CFBF_OPERATOR_ERROR: u32 = 3266;
    pub const CFBF_FILTER_VAL_LEN_ERR: u32 = 3267;
    pub const CHLAUTH_TYPE_ERROR: u32 = 3326;
    pub const CHLAUTH_ACTION_ERROR: u32 = 3327;
    pub const CHLAUTH_ALREADY_EXISTS: u32 = 3337;
    pub const CHLAUTH_NOT_FOUND: u32 = 3338;
    pub const ENTITY_TYPE_MISSING: u32 = 3373;
    pub const OBJECT_ALREADY_EXISTS: u32 = 4001;
    pub const ATTR_VALUE_ERROR: u32 = 4005;
    pub const CHANNEL_NOT_FOUND: u32 = 4032;
    pub const CHANNEL_ALREADY_EXISTS: u32 = 4042;
    pub const Q_STATUS_NOT_FOUND: u32 = 4091;
}
